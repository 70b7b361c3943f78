"""Run one training in its folder: begun, stopped, resumed, and finished.

While it lasts, `OUT/.training` holds the decoded pictures and the checkpoints. A checkpoint is every number
of the model and of its optimizer, in one file that is written whole under another name and renamed: a run
that is killed goes on from its last epoch as if nothing had happened.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lookalike.errors import ModelError, UsageError
from lookalike.evaluation.splits import FILE as SPLIT
from lookalike.evaluation.splits import Split, split
from lookalike.extractors.names import CARD
from lookalike.system import posix
from lookalike.system.files import check_folder, writing
from lookalike.training import dataset
from lookalike.training.result import Epoch, History, Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from lookalike.extractors.cards import Card
    from lookalike.reports import Progress, Skip
    from lookalike.training.dataset import DecodedDataset
    from lookalike.training.recipes import TrainingRecipe

    OnProgress: TypeAlias = Callable[[Progress | Epoch], object]

WORK = ".training"
LAST = "last.npz"


def check_model_folder(out: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> Path:
    """Make sure that a model can be trained into a folder, before the long work begins.

    Args:
        out: the folder, which need not be there.
        resume: whether a training that was stopped there goes on.
        overwrite: whether a model that is there may be replaced.

    Returns:
        The folder's absolute path.

    Raises:
        UsageError: the folder holds something else or can't be made, or there is nothing to resume.
    """
    folder = Path(os.path.abspath(os.path.expanduser(out)))  # noqa: PTH100, PTH111 - as `Name`
    for fault in _faults(folder, resume=resume, overwrite=overwrite):
        raise UsageError(fault)
    check_folder(folder)
    return folder


def is_begun(folder: Path) -> bool:
    """Return whether a folder holds a training that can be gone on with."""
    return (folder / WORK / LAST).exists()


def _faults(folder: Path, *, resume: bool, overwrite: bool) -> Iterator[str]:
    """Yield what is against it, in words."""
    if resume and overwrite:
        yield "a training goes on with --resume, or begins anew with --overwrite, not both"
    if folder.exists() and not folder.is_dir():
        yield f"{folder} is a file; expected a folder for the model, new or empty"
    model, begun = (folder / CARD).exists(), is_begun(folder)
    own = model or (folder / WORK).exists()
    if not own and folder.is_dir() and any(folder.iterdir()):
        yield f"{folder} holds other files; expected a new or an empty folder for the model"
    if overwrite or (resume and (begun or not model)):
        return
    if resume:
        yield f"the training of {folder} is finished; there is nothing to resume"
    elif begun:
        yield (
            f"{folder} holds a training that was stopped: go on with --resume, or begin anew with --overwrite"
        )
    elif model:
        yield f"{folder} holds a model already: choose another folder, or --overwrite it"


HISTORY = "history.csv"
_BEGUN = "begun.json"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class TrainingStage(NamedTuple):
    """A part of a training.

    name: for people.
    epochs: how many, at most.
    compile: says which layers learn, and calls the model's own `compile`.
    patience: epochs without a better one after which it ends; 0 for never.
    """

    name: str
    epochs: int
    compile: Callable[[], None]
    patience: int = 0


@dataclass
class Run:
    """A training in its folder; a context manager.

    folder: of the model.
    recipe: by which it is trained.
    about: what else decides the result and must be the same when it goes on: the base, the data's digest.
    progress: told of pictures read and of every epoch.
    resume: whether one that was stopped goes on.
    overwrite: whether a model that is there already may be replaced.

    Raises:
        UsageError: the folder holds something else, or a training that can't be gone on with.
    """

    folder: Path
    recipe: TrainingRecipe
    progress: OnProgress | None = None
    resume: bool = False
    overwrite: bool = False
    stopped: bool = False
    epochs: list[Epoch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _lock: IO[str] = field(init=False, repr=False)

    def __enter__(self) -> Self:
        try:
            self.folder = check_model_folder(self.folder, resume=self.resume, overwrite=self.overwrite)
            self.work.mkdir(parents=True, exist_ok=True)
            self._lock = (self.work / "lock").open("w")
        except OSError as error:
            raise ModelError(f"{self.folder} can't be written: {error.strerror}") from error
        try:
            posix.lock(self._lock.fileno())
        except OSError as error:
            self._lock.close()
            raise UsageError(
                f"the model in {self.folder} is being trained by another process; wait for it, or choose "
                "another folder"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()
        with suppress(OSError):
            self.pixels.unlink(missing_ok=True)
        # What can be gone on with stays; an error of the user's leaves nothing.
        if not self.checkpoint.exists() or (kind is None and not self.stopped):
            shutil.rmtree(self.work, ignore_errors=True)
        if kind is not None:
            with suppress(OSError):  # unless there is something in it
                self.folder.rmdir()
        if isinstance(error, OSError) and error.errno in _FULL:
            on = "; what was learnt until then is kept, --resume goes on" if self.checkpoint.exists() else ""
            raise ModelError(f"{self.folder} can't be written: {error.strerror}; make room{on}") from error

    @property
    def work(self) -> Path:
        """Return the folder of what is needed only while it lasts."""
        return self.folder / WORK

    @property
    def pixels(self) -> Path:
        """Return the file of decoded pictures."""
        return self.work / "pixels"

    @property
    def checkpoint(self) -> Path:
        """Return the state after the last epoch."""
        return self.work / LAST

    @property
    def best(self) -> Path:
        """Return the state that was best so far."""
        return self.work / "best.npz"

    def begin(self, about: Mapping[str, Any]) -> None:
        """Make sure that what goes on is what was begun, or note what is begun now.

        Args:
            about: all that decides the result beside the recipe: the base, the digest of the data.

        Raises:
            UsageError: something else was begun.
            ModelError: the note of what was begun is damaged.
        """
        now = json.loads(json.dumps({"recipe": self.recipe.as_dict(), **about}))
        file = self.work / _BEGUN
        if self.resume and self.checkpoint.exists():
            try:
                before = json.loads(file.read_text(encoding="utf-8"))
                changed = _differences(before, now)
            except (OSError, ValueError, AttributeError, RecursionError) as error:
                raise ModelError(f"{file} is damaged: {error}; begin anew with --overwrite") from error
            if changed:
                raise UsageError(
                    f"the training in {self.folder} was begun with other settings: {', '.join(changed)}; "
                    "give the same ones to go on, or begin anew with --overwrite"
                )
        else:
            for old in (self.checkpoint, self.best):
                old.unlink(missing_ok=True)
            with writing(file) as part:
                part.write_text(json.dumps(now), encoding="utf-8")

    def divide(self, pixels: DecodedDataset) -> Split:
        """Draw the split of pictures; next to identical ones stay together.

        Pictures without labels are divided folder by folder: what is trained on the same ones with their
        folders as labels has the same test part.

        Raises:
            UsageError: there is nothing to learn from.
        """
        tested = {id_: part for id_ in pixels.ids if (part := pixels.fixed.get(id_)) == "test"}
        if tested and len(tested) == len(pixels.ids):
            raise UsageError(
                f"all of the {len(tested):,} pictures that can be read are test pictures by what the data "
                "set says; expected others to learn from"
            )
        free = [row for row, id_ in enumerate(pixels.ids) if id_ not in tested]
        drawn = split(
            [pixels.ids[row] for row in free],
            [pixels.labels[row] or pixels.ids[row].rpartition("/")[0] for row in free],
            groups=dataset.groups(pixels.array, free),
            test=0.0 if tested else self.recipe.test,
            validation=self.recipe.validation,
            seed=self.recipe.seed,
        )
        return Split({**drawn.part_of, **tested})

    def tell(self, epoch: Epoch) -> None:
        """Keep the history as a table, and tell of its newest epoch."""
        History(tuple(self.epochs)).save(self.work / HISTORY)
        if self.progress is not None:
            self.progress(epoch)

    def record(self, digest: str, split: Split, measures: Mapping[str, float], **more: Any) -> dict[str, Any]:
        """Return what a card says of the training, as plain JSON data."""
        return {
            **self.recipe.as_dict(),
            **more,
            "pictures": split.counts(),
            "digest": digest,
            "measures": {name: float(value) for name, value in measures.items()},
            "history": History(tuple(self.epochs)).as_dict(),
            "seconds": round(self.seconds, 2),
            "stopped": self.stopped,
            "versions": versions(),
            "notes": list(self.notes),
        }

    @property
    def seconds(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._began

    def finished(
        self, card: Card, split: Split, measures: Mapping[str, float], skipped: Sequence[Skip] = ()
    ) -> Trained:
        """Keep split and history beside the model, and put together what was reached."""
        split.save(self.folder / SPLIT)
        history = History(tuple(self.epochs))
        if history.epochs:
            history.save(self.folder / HISTORY)
        else:
            (self.folder / HISTORY).unlink(missing_ok=True)  # of the model that was replaced
        return Trained(
            model=str(self.folder),
            recipe=self.recipe,
            card=card,
            split=split,
            measures=measures,
            history=history,
            skipped=skipped,
            notes=tuple(self.notes),
            seconds=self.seconds,
            stopped=self.stopped,
        )


def versions() -> dict[str, str]:
    """Return the versions of the libraries involved."""
    import platform
    from importlib import metadata

    known = {"python": platform.python_version()}
    for name in ("lookalike", "numpy", "openvino", "keras", "tensorflow-cpu", "tensorflow"):
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return known


def rows_of(pixels: DecodedDataset, split: Split, part: str) -> list[int]:
    """Return the rows of the pictures of a part."""
    return [row for row, id_ in enumerate(pixels.ids) if split.part_of[id_] == part]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ, in words."""
    old, new = ({**state.get("recipe", {}), **state} for state in (before, now))
    keys = [key for key in {**old, **new} if key != "recipe" and old.get(key) != new.get(key)]
    return [f"{key} was {old.get(key)!r:.40}, is {new.get(key)!r:.40}" for key in keys]
