"""What is to be done in a folder: the walk merged with what the store remembers.

Both come in the order of ids, so neither is held in memory; the pictures to read are spooled, and
so their number is known before the first is opened.
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar

from lookalike.reports import Skip
from lookalike.sources.folder import under
from lookalike.types import Folder, Found, Skipped, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lookalike.sources.base import Source
    from lookalike.types import Store, Survey

Listed = TypeVar("Listed", Found, State)

_SPOOL_IN_MEMORY = 8 << 20
_NO_FILES = frozenset({"array", "url", "cifar"})
"""Sources of pictures whose ids are no paths of files, though they may look like some."""


class Work(NamedTuple):
    """A picture to read: its id, how it came in, and size and mtime_ns of its file.

    known: whether the gallery has a picture of this id; None if that was not looked up.
    address: of a picture on the web, with what its id leaves out; "" where that is all of it.
    anew: whether it is read again though its bytes are known.
    thumbnail: whether a small picture is kept of it.
    private: whether its address may lead into this machine or its network.
    """

    id: str
    size: int
    mtime_ns: int
    source: str = "walk"
    known: bool | None = None
    address: str = ""
    anew: bool = False
    thumbnail: bool = False
    private: bool = False


@dataclass
class Plan:
    """What is to be done; made by `plan`.

    works: the files to read are in a spool; iterate `works()`.
    vanished: ids of pictures whose file is gone.
    missing: how many pictures are kept although they were not seen.
    unlisted: prefixes of the folders that could not be listed, each with the reason.
    aside: prefixes of the folders that other programs keep, and were not walked.
    unseen: prefixes under which nothing is taken for gone, each with the reason.
    kept: how many of the missing lie under each of these.
    forget: ids of skipped files that are gone.
    walked: pictures that were named one by one and are now seen by a walk.
    faults: what the walk met that can't be a picture.
    reported: what the user should know of, and the store need not remember.
    folders, known: what the store is to remember of the folders, and what it did.
    """

    count: int = 0
    unchanged: int = 0
    missing: int = 0
    vanished: list[str] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)
    walked: list[State] = field(default_factory=list)
    faults: list[Skipped] = field(default_factory=list)
    reported: list[Skip] = field(default_factory=list)
    unlisted: dict[str, str] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    folders: list[Folder] = field(default_factory=list)
    known: list[Folder] = field(default_factory=list)
    _spool: IO[str] = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(  # noqa: SIM115  # closed with the plan
            _SPOOL_IN_MEMORY, "w+", encoding="utf-8", newline="\n"
        )
    )

    def push(self, work: Work) -> None:
        """Add a file to read."""
        self._spool.write(json.dumps(work) + "\n")
        self.count += 1

    def works(self) -> Iterator[Work]:
        """The files to read, in the order they were pushed."""
        self._spool.seek(0)
        for line in self._spool:
            yield Work(*json.loads(line))

    def close(self) -> None:
        """Let go of the spool."""
        self._spool.close()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for beyond the usual.

    prune: take what was not seen for gone, even where a folder could not be listed.
    restore: index again what was taken out.
    retry: try again what could not be read.
    limit, seed: index a random part of so many files, the same for the same seed; remove nothing.
    """

    prune: bool = False
    restore: bool = False
    retry: bool = False
    limit: int | None = None
    seed: int = 0


def merge(
    found_now: Iterable[Listed], states: Iterable[State]
) -> Iterator[tuple[Listed | None, State | None]]:
    """Pair two streams that are sorted by id; None where one of them lacks the id."""
    remembered = iter(states)
    state = next(remembered, None)
    for found in found_now:
        while state is not None and state.id < found.id:
            yield None, state
            state = next(remembered, None)
        if state is not None and state.id == found.id:
            yield found, state
            state = next(remembered, None)
        else:
            yield found, None
    while state is not None:
        yield None, state
        state = next(remembered, None)


def plan(store: Store, walks: Iterable[Source], wishes: Wishes) -> Plan:
    """Decide for every file of the walks, and every picture that was in their folders, what to do.

    A picture counts as gone only where its folder was really listed: not below a folder that could
    not be read, nor a root or mount point that is on another device than before or suddenly empty.
    """
    result = Plan(known=store.folders())
    try:
        result.folders = _planned(result, store, walks, wishes)
    except BaseException:
        result.close()
        raise
    return result


def _planned(result: Plan, store: Store, walks: Iterable[Source], wishes: Wishes) -> list[Folder]:
    """Plan every walk; what is to be remembered of the folders then."""
    devices = {folder.prefix: folder.device for folder in result.known}
    states = _States(store)
    for walk in walks:
        part = _Part(result, wishes, walk, chosen=_sample(walk, wishes))
        part.take(states.under(walk.prefix))
        survey = walk.survey
        result.unlisted |= survey.unlisted
        result.aside += survey.aside
        before = {p: d for p, d in devices.items() if p == walk.prefix or under(p, walk.prefix)}
        if wishes.limit is not None:
            # What it did not choose it did not look for, so it learns nothing of known folders.
            devices = survey.devices | devices
            continue
        unseen = {} if wishes.prune else _unseen(survey, before, [state.id for state in part.gone])
        part.judge(unseen)
        devices = {p: d for p, d in devices.items() if p not in before or p in unseen}
        devices |= {p: d for p, d in survey.devices.items() if p not in unseen}
    return [Folder(prefix, device) for prefix, device in sorted(devices.items())]


def _sample(walk: Source, wishes: Wishes) -> frozenset[str] | None:
    """The ids of the random part that is wanted: those of the smallest keyed hashes."""
    if wishes.limit is None:
        return None
    key = blake2b(str(wishes.seed).encode()).digest()

    def rank(id_: str) -> bytes:
        return blake2b(id_.encode(), key=key, digest_size=16).digest()

    return frozenset(heapq.nsmallest(wishes.limit, (f.id for f in walk if not f.fault), rank))


def _unseen(survey: Survey, before: dict[str, int], gone: list[str]) -> dict[str, str]:
    """Prefixes below which the walk proves nothing, with the reason."""
    unseen = dict(survey.unlisted)
    for prefix, device in before.items():
        lost = any(under(id_, prefix) for id_ in gone)
        now = survey.devices.get(prefix)
        if not lost or prefix in unseen:
            continue
        if now is None and device != _device_around(prefix, before):
            unseen[prefix] = "is not mounted"
        elif now is not None and now != device:
            unmounted = now == _device_around(prefix, survey.devices)
            unseen[prefix] = "is not mounted" if unmounted else "is on another device than before"
        elif now is not None and not survey.files[prefix]:
            unseen[prefix] = "is suddenly empty"
    return unseen


def _device_around(prefix: str, devices: dict[str, int]) -> int | None:
    """The device of the folder that a folder lies in."""
    around = [p for p in devices if p != prefix and under(prefix, p)]
    return devices[max(around, key=len)] if around else None


def _unchanged(found: Found, state: State, name: str) -> bool:
    """Whether this is a picture that a source of this name had found before, just as it is now."""
    return (
        found.mtime_ns == state.mtime_ns
        and found.size == state.size
        and state.status == "picture"
        and state.source == name
        and not found.fault
    )


class _States:
    """What a store remembers, read once for all folders that come in the order of their prefixes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rest: Iterator[State] | None = None
        self._last = ""

    def under(self, prefix: str) -> Iterator[State]:
        """Yield what lies below a prefix, in the order of ids; to be taken to its end."""
        if not prefix:
            # As `under` says, without a call for each of what may be a million.
            return (state for state in self._store.states() if state[0][:1] != "/" and "://" not in state[0])
        if "::" in prefix or prefix <= self._last:
            return (state for state in self._store.states() if under(state.id, prefix))
        self._last = prefix
        return self._next(prefix)

    def _next(self, prefix: str) -> Iterator[State]:
        """Yield the states of one run of ids, and keep what comes behind them."""
        rest = self._rest if self._rest is not None else iter(self._store.states())
        for state in rest:
            if state.id.startswith(prefix):
                yield state
            elif state.id > prefix:
                self._rest = chain([state], rest)
                return
        self._rest = iter(())


class _Part:
    """The plan of one source, gathered into the plan of all."""

    def __init__(
        self, result: Plan, wishes: Wishes, source: Source, *, chosen: frozenset[str] | None
    ) -> None:
        self.result = result
        self.wishes = wishes
        self.source = source
        self.chosen = chosen
        self.gone: list[State] = []

    def take(self, states: Iterable[State]) -> None:
        """Merge what the source finds with what the store remembers of it."""
        walk, name = self.source, self.source.name
        everything = self.chosen is None
        for found, state in merge(walk, states):
            if everything and found and state and _unchanged(found, state, name):
                # By far the commonest case, and so the shortest way.
                self.result.unchanged += 1
            elif found is None:
                if state is not None and self.chosen is None:
                    self._not_seen(state)
            elif self.chosen is None or found.id in self.chosen:
                self._seen(found, state)

    def judge(self, unseen: dict[str, str]) -> None:
        """Sort what the walk did not see into gone and merely not seen."""
        self.result.unseen |= unseen
        for state in self.gone:
            hidden = next((prefix for prefix in unseen if under(state.id, prefix)), None)
            if hidden is not None:
                self.result.missing += state.status == "picture"
                self.result.kept[hidden] += state.status == "picture"
            elif state.status == "picture":
                self.result.vanished.append(state.id)
            else:
                self.result.forget.append(state.id)

    def _not_seen(self, state: State) -> None:
        # What was named one by one, came from elsewhere or was taken out stays as it is.
        found_so = state.status == "picture" and state.source == self.source.name
        if self.source.absence_deletes and (state.status == "skipped" or found_so):
            self.gone.append(state)

    def _seen(self, found: Found, state: State | None) -> None:
        if found.fault:
            self._fault(found, state)
        elif state is None:
            self._read(found, known=False)
        elif state.status == "removed":
            if self.wishes.restore:
                self._read(found, known=False)
        elif state.source in _NO_FILES - {self.source.name}:
            self.result.reported.append(Skip(found.id, "a picture that is not a file has this id"))
        else:
            self._compare(found, state)

    def _compare(self, found: Found, state: State) -> None:
        same = state.size == found.size and state.mtime_ns == found.mtime_ns
        picture = state.status == "picture"
        if same and (picture or not self.wishes.retry):
            self.result.unchanged += picture
            if picture and state.source == "file":
                self.result.walked.append(state._replace(source=self.source.name))
        else:
            self._read(found, known=picture)

    def _read(self, found: Found, *, known: bool) -> None:
        source = self.source
        work = Work(found.id, found.size, found.mtime_ns, source.name, known)
        self.result.push(work._replace(thumbnail=source.keeps_thumbnail, private=source.private))

    def _fault(self, found: Found, state: State | None) -> None:
        skipped = Skipped(found.id, found.size, found.mtime_ns, found.fault)
        if state is not None and state.status == "picture" and not self.wishes.prune:
            self.result.missing += 1
            self.result.reported.append(Skip(found.id, found.fault))
        elif state is not None and state.status == "picture":
            self.result.vanished.append(found.id)
            self.result.faults.append(skipped)
        elif state is None or (state.status == "skipped" and state.mtime_ns != found.mtime_ns):
            self.result.faults.append(skipped)
