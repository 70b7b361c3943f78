"""Networks are built in a process of their own, which TensorFlow's memory, noise and settings leave with.

    python -m lookalike.extractors.keras.child FOLDER < recipes.json

writes for every recipe `FOLDER/KEY/model.xml` with its card, or `FOLDER/KEY/error.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike import errors
from lookalike.errors import LookalikeError, ModelError
from lookalike.extractors import conversion, runtime, trials
from lookalike.extractors.keras import safety
from lookalike.extractors.keras.recipes import Recipe
from lookalike.extractors.trials import run_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.extractors.cards import Card

_SURROUNDINGS = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}
_MODULE = "lookalike.extractors.keras.child"
_SLOWER = 5  # times the limit of other networks: TensorFlow is slow to start and to export
_PATIENCE = 60.0  # seconds a server may be silent during a download


def network(recipe: Recipe) -> tuple[Any, Card]:
    """The network of a recipe from the cache, built first by a child if it is not there.

    Raises:
        NotExportable: OpenVINO can't run it; and what `building.built` raises.
    """
    return kept(recipe, partial(_built, recipe))


def kept(recipe: Recipe, write: Callable[[Path], Path]) -> tuple[Any, Card]:
    """As `conversion.kept`; that a network can't be exported is remembered, too.

    Raises:
        NotExportable: as it was found by `write`, now or earlier with the same OpenVINO.
    """
    from lookalike.extractors.keras.export import NotExportable

    refusal = runtime.cache_folder() / "models" / f"{recipe.key}.refused"
    version = runtime.openvino().__version__
    with suppress(OSError, ValueError):
        asked, said = json.loads(refusal.read_text(encoding="utf-8"))
        if asked == version:
            raise NotExportable(said)
    try:
        return conversion.kept(recipe.key, write)
    except NotExportable as error:
        with suppress(OSError):
            refusal.write_text(json.dumps([version, str(error)]), encoding="utf-8")
        raise


def _built(recipe: Recipe, folder: Path) -> Path:
    if recipe.kind == "file":
        safety.check(Path(recipe.network))  # a file that is refused need not wait for TensorFlow
    run([recipe], folder)
    return written(recipe, folder)


def run(recipes: Sequence[Recipe], folder: Path) -> None:
    """Let a child build networks into a folder; its progress in a download is shown on a terminal.

    Raises:
        ModelError: it came to no end.
    """
    shown = sys.stderr.fileno() if _on_terminal() else subprocess.DEVNULL
    patience = _SLOWER * trials.seconds() if _are_foreign(recipes) else None
    code, _, last = run_bounded(
        [_MODULE, str(folder)],
        json.dumps([asdict(recipe) for recipe in recipes]).encode(),
        patience,
        stdout=shown,
        env=os.environ | _SURROUNDINGS,
    )
    if code is None:
        raise ModelError(
            f"{recipes[0].network} was not built within {patience} seconds, {_SLOWER} times the limit, and "
            f"was stopped; {trials.in_words()}"
        )
    if code:
        raise ModelError(
            f"the process that builds {recipes[0].network} ended with {code}: "
            f"{last or 'killed, perhaps for want of memory'}"
        )


def _are_foreign(recipes: Sequence[Recipe]) -> bool:
    """Whether networks come from files, and not from Keras."""
    return any(recipe.kind == "file" for recipe in recipes)


def _on_terminal() -> bool:
    try:
        return sys.stderr.isatty() and sys.stderr.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False


def written(recipe: Recipe, folder: Path) -> Path:
    """Where in a folder a child left the network of a recipe; an error of it is raised here."""
    failure = folder / recipe.key / "error.json"
    if failure.exists():
        kind, message = json.loads(failure.read_text(encoding="utf-8"))
        from lookalike.extractors.keras.export import NotExportable

        known = {"NotExportable": NotExportable} | {name: getattr(errors, name) for name in dir(errors)}
        raise known.get(kind, ModelError)(message)
    return failure.parent


def main() -> None:
    """Build what standard input asks for."""
    import socket

    from lookalike.extractors.keras import export

    socket.setdefaulttimeout(_PATIENCE)
    recipes = [Recipe.from_json(values) for values in json.load(sys.stdin)]
    if _are_foreign(recipes):
        trials.impose()
    for recipe in recipes:
        folder = Path(sys.argv[1]) / recipe.key
        folder.mkdir(parents=True, exist_ok=True)
        try:
            keras = export.keras()
            export.hasten()
            keras.backend.clear_session()  # names count from the start
            _build(recipe, folder)
        except LookalikeError as error:
            said = json.dumps([type(error).__name__, str(error)])
            (folder / "error.json").write_text(said, encoding="utf-8")


def _build(recipe: Recipe, folder: Path) -> None:
    from lookalike.extractors.keras import export

    conversion.save(*export.exported(recipe), folder)


if __name__ == "__main__":
    main()
