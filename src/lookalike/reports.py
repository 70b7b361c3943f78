"""What a long work tells: its progress, what it did, what it skipped. Plain data that turns into JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Skip(NamedTuple):
    """A file that is not in the gallery, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Report:
    """What `Gallery.add` did.

    added, updated, unchanged, moved, removed: how many pictures came in, were replaced, were left
        alone, were recognised under a new name, went because their file is gone.
    missing: how many are kept although their file can't be seen, because its folder can't.
    total: how many the gallery holds now.
    gallery: its address; "" where no picture was found for a new one, so that none was made.
    skipped: every file that is not in the gallery, with the reason.
    known: the paths of those of them that were skipped before, for the same reason.
    left_out: how many folders that other programs keep were not looked into, by their names.
    notes: what the user should know.
    """

    root: str
    gallery: str
    model: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    missing: int = 0
    total: int = 0
    skipped: list[Skip] = field(default_factory=list)
    known: frozenset[str] = frozenset()
    left_out: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        content = asdict(self)
        content["skipped"] = [skip._asdict() for skip in self.skipped]
        del content["notes"], content["left_out"], content["known"]
        return content

    def __str__(self) -> str:
        """One line for people."""
        names = ("added", "updated", "moved", "removed", "missing", "unchanged")
        parts = [f"{getattr(self, n):,} {n}" for n in names if getattr(self, n)]
        skipped = [f"{len(self.skipped):,} skipped"] if self.skipped else []
        done = ", ".join(parts + skipped) or "nothing found"
        return f"{done}; {self.total:,} pictures in {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long work is; called back after every commit.

    done: pictures dealt with and safe on disk.
    total: how many there are to do; None while that isn't known.
    skipped: how many of those done could not be read.
    seconds: since the first of them.
    """

    done: int
    total: int | None
    skipped: int
    seconds: float

    @property
    def rate(self) -> float:
        """Pictures a second so far."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds left at this rate; None while that can't be told."""
        return (self.total - self.done) / self.rate if self.total is not None and self.rate else None

    def __str__(self) -> str:
        """One line for people."""
        of = "" if self.total is None else f" of {self.total:,}"
        left = "" if self.left is None else f", {clock(self.left)} left"
        return f"{self.done:,}{of} pictures, {self.rate:.0f} a second{left}"


def clock(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `3:05`, `2:10:00`.

    >>> clock(185.2)
    '3:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
