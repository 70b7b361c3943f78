"""The folder that a model is trained into: what may be in it before anything is begun."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import UsageError
from lookalike.extractors.names import CARD
from lookalike.system.files import check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

WORK = ".training"
LAST = "last.npz"


def check_place(out: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> Path:
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
    """Whether a folder holds a training that can be gone on with."""
    return (folder / WORK / LAST).exists()


def _faults(folder: Path, *, resume: bool, overwrite: bool) -> Iterator[str]:
    """What is against it, in words."""
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
