"""What a run did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Failure(NamedTuple):
    """A picture that did not come: its id and address as the table has them, and why."""

    id: str
    url: str
    reason: str


@dataclass(slots=True)
class Report:
    """What `fetch` did.

    into: the folder.
    metadata: the table of the pictures there, for `lookalike index --metadata`.
    fetched, present: how many pictures came, and how many were there already.
    repeated: rows that name the same id and address as an earlier one.
    retries: how many requests were made again.
    total: how many pictures of this table and earlier ones the folder has now.
    failed: what did not come; `failed.csv` has the same.
    bytes: of the pictures that came.
    """

    into: str
    metadata: str
    fetched: int = 0
    present: int = 0
    repeated: int = 0
    retries: int = 0
    total: int = 0
    failed: list[Failure] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self) | {"failed": [failure._asdict() for failure in self.failed]}

    def __str__(self) -> str:
        """One line for people."""
        counts = {"fetched": self.fetched, "present": self.present, "failed": len(self.failed)}
        done = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        return f"{done or 'nothing to fetch'}; {self.total:,} pictures in {self.seconds:.1f} s"
