"""The indices of a gallery: which one is live, how one comes to be, who builds one, and how all go.

An index is called after its gallery, `photos~000001`, and the alias `photos` points at the live one. Each has
an alias of its own by which it is read and written, `photos~000001~` and eight digits by chance: so whoever
holds an index that was deleted never meets another one of the same name, and a write, which requires an
alias, never makes one. Whoever goes on with what another process began to build gives it a new one: that
process, which may only have slept, writes nothing more.

A gallery is built anew by one process at a time, told by a document in the index that is being built, which
it writes again and again. Nobody's clock and no process number is believed: whoever wants the right watches
the document, and takes it over by a conditional write when it rests for long.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import elasticsearch

from lookalike.errors import LookalikeError, NotFound, StoreCorrupt
from lookalike.stores.elasticsearch import layout, reading
from lookalike.stores.elasticsearch.bulk import Seen
from lookalike.stores.elasticsearch.server import Forbidden, IndexGone, kind_of
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lookalike.stores.elasticsearch.server import Clock, Server
    from lookalike.types import Header

_COPIES = "10s"
"""How long a new index waits for its copies, where there may be too few nodes for them."""

_NUMBER = re.compile(r"~(\d{6})")


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a gallery.

    name: of the index itself.
    alias: its own, by which it is read and written.
    header: of the gallery in it.
    options: shards, replicas and index_type, as far as they were chosen.
    token: the identity of the gallery.
    """

    name: str
    alias: str
    header: Header
    options: Mapping[str, Any]
    token: str


def live(server: Server, name: str) -> Index:
    """The index that a gallery's alias points at.

    Raises:
        NotFound: there is none.
        StoreCorrupt: it is not ours, or can't be read.
    """
    found = _described(server, name)
    if not found:
        raise NotFound(f"there is no gallery at {server.address.text}")
    if len(found) > 1:
        raise StoreCorrupt(
            f"{server.address.text} stands for {len(found)} indices ({', '.join(sorted(found))}), "
            "a gallery for one; take the alias away from the others"
        )
    index, about = next(iter(found.items()))
    if layout.is_ours(about["mappings"]) and not _is_of(index, name):
        # What is built anew would take its place, and leave the gallery's own alias without one.
        raise StoreCorrupt(
            f"{server.address.text} is another name of the index {index}; name the gallery by its own, "
            f"{index.partition('~')[0]}"
        )
    return _opened(index, about, server.address.text)


def create(
    server: Server,
    header: Header,
    *,
    options: Mapping[str, Any],
    types: Mapping[str, str],
    beside: Collection[str] | None = None,
    token: str | None = None,
) -> Index:
    """Make an index; where a gallery came to be live in the meantime, that one stays as it is.

    Args:
        server: where.
        header: of the gallery in it.
        options: shards, replicas and index_type, as far as they are chosen.
        types: of the user's fields.
        beside: the gallery's other indices, as far as they are known; None where its alias is to point at
            this one from the first moment on.
        token: the identity of the gallery; None for one that no other has.

    Raises:
        StoreBusy: another process was faster to make one beside the live one.
        UsageError: vectors that can't be kept here.
    """
    layout.check(header)
    token = token or secrets.token_hex(16)
    body = layout.mapping(header, options, types, token)
    name = server.address.name
    before = _described(server, f"{name}~*")
    index = f"{name}~{_next_number(name, before):06}"
    new = Index(index, _fresh_alias(index), replace(header, format=layout.FORMAT), options, token)
    if beside is None and any(name in about["aliases"] for about in before.values()):
        return new  # another process was faster
    if beside is not None and any(
        _is_ours(index, about, name) for index, about in before.items() if index not in beside
    ):
        raise server.busy()
    aliases: dict[str, Any] = {new.alias: {"is_hidden": True}, **({name: {}} if beside is None else {})}

    def make(es: elasticsearch.Elasticsearch) -> Any:
        try:
            # The copies are there before the first picture is: a node that dies then takes none along.
            return es.indices.create(
                index=new.name,
                mappings=body,
                settings=layout.settings(options),
                aliases=aliases,
                wait_for_active_shards="all",
                timeout=_COPIES,
            )
        except elasticsearch.BadRequestError as error:
            if kind_of(error) != "resource_already_exists_exception":
                raise
            # By another process at the same time, or by ours in an attempt whose answer was lost.
            return es.indices.exists_alias(index=new.name, name=new.alias)

    if not server.call(make) and beside is not None:
        raise server.busy()
    return new


def all_of(server: Server, name: str) -> dict[str, Any]:
    """Every index of a gallery that is ours, live or not, and what is known of it."""
    found = _described(server, f"{name}~*")
    return {index: about for index, about in found.items() if _is_ours(index, about, name)}


def aside(server: Server, current: Index) -> list[Index]:
    """The other indices of a gallery: built by a process that was stopped, or is still at it."""
    name = server.address.name
    found = [
        _opened(index, about, index)
        for index, about in all_of(server, name).items()
        if index != current.name and name not in about["aliases"]
    ]
    return sorted(found, key=lambda index: index.name)


def swap(server: Server, old: Index, new: Index) -> None:
    """Let the aliases point at another index, and delete the old one, all in one step.

    Those that the user gave it go along, where one may do that.
    """
    name = server.address.name
    about = _described(server, old.alias, server.clock()).get(old.name, {"aliases": {}})
    aliases = {alias: how for alias, how in about["aliases"].items() if alias not in {old.alias, name}}
    try:
        _point(server, old, new, aliases)
    except (Forbidden, StoreCorrupt):
        if not aliases:
            raise
        _point(server, old, new, {})


def _point(server: Server, old: Index, new: Index, aliases: Mapping[str, Any]) -> None:
    name = server.address.name
    adding = ({"add": {"index": new.name, "alias": alias, **how}} for alias, how in aliases.items())
    actions: list[dict[str, Any]] = [
        {"add": {"index": new.name, "alias": name}},
        *adding,
        {"remove_index": {"index": old.name}},
    ]
    try:
        server.call(lambda es: es.indices.update_aliases(actions=actions))
    except IndexGone:
        # Done already, in an attempt whose answer was lost; or somebody else has deleted the gallery.
        if live(server, name).name != new.name:
            raise


def called_anew(server: Server, index: Index) -> Index:
    """Give an index another alias of its own in place of the one it has, by which nobody writes any more."""
    new = replace(index, alias=_fresh_alias(index.name))
    actions: list[dict[str, Any]] = [
        {"add": {"index": index.name, "alias": new.alias, "is_hidden": True}},
        {"remove": {"index": index.name, "alias": index.alias, "must_exist": False}},
    ]
    server.call(lambda es: es.indices.update_aliases(actions=actions))
    return new


def remove(server: Server, names: str) -> None:
    """Delete indices, separated by commas, all in one step; those that are gone already do not matter."""
    server.call(lambda es: es.indices.delete(index=names, ignore_unavailable=True))


def drop(server: Server, name: str) -> None:
    """Delete a gallery, every index of it that is ours.

    Raises:
        NotFound: there is none.
        StoreBusy: a process is building it anew.
        StoreCorrupt: something else has that name.
    """
    found = all_of(server, name)
    about = _described(server, name)
    if not found and not about:
        raise NotFound(f"there is no gallery at {server.address.text}")
    if foreign := sorted(set(about) - set(found)):
        raise StoreCorrupt(
            f"{server.address.text} is the index {foreign[0]}, which is no gallery of lookalike; nothing was "
            "deleted"
        )
    for index, about in found.items():
        if name not in about["aliases"]:
            require_nobody(server, _own_alias(index, about))
    remove(server, ",".join(found))


def blocked(server: Server, index: Index) -> bool:
    """Whether an index is closed to writers, because it is built anew."""
    path = "*.settings.index.blocks.write"
    answer = server.call(lambda es: es.indices.get_settings(index=index.alias, filter_path=path))
    return bool(answer) and str(answer[index.name]["settings"]["index"]["blocks"]["write"]) == "true"


def block(server: Server, index: Index) -> None:
    """Close an index to writers; what they were writing is finished, and found, when this returns."""
    server.call(lambda es: es.indices.add_block(index=index.alias, block="write"))
    server.call(lambda es: es.indices.refresh(index=index.alias))


def unblock(server: Server, index: Index) -> None:
    """Open an index to writers again."""
    server.call(lambda es: es.indices.put_settings(index=index.alias, settings={"index.blocks.write": None}))


def migrate(server: Server, index: Index) -> Index:
    """Bring an older index up to date; whoever does so at the same time does the same."""
    if index.header.format >= layout.FORMAT:
        return index
    mappings = server.call(lambda es: es.indices.get_mapping(index=index.alias))[index.name]["mappings"]
    later = layout.up_to_date(mappings, index.token)
    server.call(
        lambda es: es.indices.put_mapping(
            index=index.alias, meta=later["_meta"], properties=later["properties"]
        )
    )
    return replace(index, header=replace(index.header, format=layout.FORMAT))


def field_types(server: Server, index: Index) -> dict[str, str]:
    """The types of the user's fields, as they are now; "" for one that only somebody else can have given."""
    path = "*.mappings.properties.metadata.properties"
    answer = server.call(lambda es: es.indices.get_mapping(index=index.alias, filter_path=path))
    found = answer.get(index.name, {}).get("mappings", {}).get("properties", {}).get("metadata", {})
    return layout.field_types(found.get("properties", {}))


def _described(server: Server, pattern: str, clock: Clock | None = None) -> dict[str, Any]:
    try:
        answer = server.call(
            lambda es: es.indices.get(
                index=pattern, filter_path="*.aliases,*.mappings", expand_wildcards="open"
            ),
            clock or server.clock(opening=True),
        )
    except IndexGone:
        return {}
    return dict(answer)


def _opened(index: str, about: Mapping[str, Any], where: str) -> Index:
    alias = _own_alias(index, about)
    header, options, token = layout.read_header(about["mappings"], where)
    return Index(index, alias, header, options, token or alias)


def _fresh_alias(index: str) -> str:
    return f"{index}~{secrets.token_hex(4)}"


def _own_alias(index: str, about: Mapping[str, Any]) -> str:
    """The index's own alias; one that was taken away is a name that nothing has."""
    return next((alias for alias in about["aliases"] if alias.startswith(f"{index}~")), f"{index}~")


def _is_ours(index: str, about: Mapping[str, Any], name: str) -> bool:
    return _is_of(index, name) and layout.is_ours(about["mappings"])


def _is_of(index: str, name: str) -> bool:
    """Whether an index is called as those of a gallery are."""
    return bool(_NUMBER.fullmatch(index.removeprefix(name)))


def _next_number(name: str, indices: Iterable[str]) -> int:
    numbers = (_NUMBER.fullmatch(index.removeprefix(name)) for index in indices)
    return 1 + max((int(number[1]) for number in numbers if number is not None), default=0)


BEAT = 2.0
"""Seconds from one writing of the document to the next."""

SILENCE = 15.0
"""Seconds without one after which its process is taken to be gone."""

_LOOK = 0.25
_MOST = 1.0  # seconds of silence that one look can tell
_NOBODY = "nobody"


class _Overtaken(Exception):
    """Somebody has written the document since it was read."""


class _State(NamedTuple):
    """Who wrote the document last, and which version of it that is; None where there is none."""

    who: str
    seen: Seen | None


class Claim(Forked):
    """The right to build one index, held until it is let go.

    Args:
        server: where.
        alias: of the index.
        fresh: whether it was made here just now, so that nobody else can have the right.

    Raises:
        StoreBusy: another process has it.
        IndexGone: the index is not there.
    """

    def __init__(self, server: Server, alias: str, *, fresh: bool = False) -> None:
        self._server = server
        self._alias = alias
        self._me = secrets.token_hex(8)
        self._written = _clocks()
        before = _State("", None) if fresh else _look(server, alias)
        if not fresh and _changes(server, alias, before):
            raise server.busy()
        held = self._write(before)
        if held is None:
            raise server.busy()
        self._held = held
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lookalike-claim", daemon=True)
        self._thread.start()
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Leave the right to the parent, which goes on to have it."""
        self._lost = True
        self._ended = threading.Event()
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def follow(self, alias: str) -> None:
        """Go on under another alias of the same index."""
        self._alias = alias

    def hold(self) -> None:
        """Raise `StoreBusy` where another process may have taken it over; asked before every write."""
        if self._lost or self._silent() > SILENCE / 2:
            self.require()

    def require(self) -> None:
        """Raise `StoreBusy` where another process took it over: this one was silent for too long."""
        try:
            lost = self._lost or _look(self._server, self._alias).who != self._me
        except IndexGone as gone:
            # Whoever takes it over calls it otherwise; else it was deleted.
            if not self._server.has(self._alias.rpartition("~")[0]):
                raise
            raise self._server.busy() from gone
        if lost:
            raise self._server.busy()

    def release(self) -> None:
        """Let go of it, so that others need not wait; a second time does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        if not self._lost:
            with suppress(LookalikeError):
                self._write(self._held, free=True)

    def _silent(self) -> float:
        """Seconds since it was written; while a machine sleeps, only one of the two clocks goes on."""
        return max(now - then for now, then in zip(_clocks(), self._written, strict=True))

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            # A cluster that does not answer lets nobody else in, either.
            with suppress(LookalikeError):
                held = self._write(self._held)
                if held is None:
                    self._lost = True
                    return
                self._held = held

    def _write(self, before: _State, *, free: bool = False) -> _State | None:
        """Write the document if it still is as it was; None where it is not."""
        entry = layout.system(layout.BUILDER_KEY, {"who": _NOBODY if free else self._me})
        unseen: dict[str, Any] = {"op_type": "create"}
        asked = _clocks()
        as_seen = (
            {"if_seq_no": before.seen.number, "if_primary_term": before.seen.term} if before.seen else unseen
        )

        def write(es: elasticsearch.Elasticsearch) -> Any:
            try:
                return es.index(
                    index=self._alias, id=entry.key, document=entry.document, require_alias=True, **as_seen
                )
            except elasticsearch.ConflictError as error:
                raise _Overtaken from error

        try:
            answer = self._server.call(write, self._server.clock(opening=True))
        except _Overtaken:
            # Perhaps by ourselves, in an attempt whose answer was lost.
            now = _look(self._server, self._alias)
            return now if now.who == self._me else None
        self._written = asked
        return _State(self._me, Seen(answer["_seq_no"], answer["_primary_term"]))


def require_nobody(server: Server, alias: str) -> None:
    """Raise `StoreBusy` where a process is building an index."""
    if _changes(server, alias, _look(server, alias)):
        raise server.busy()


def _look(server: Server, alias: str) -> _State:
    content, seen = reading.system(server, alias, layout.BUILDER_KEY)
    return _State(content.get("who", _NOBODY if seen else ""), seen)


def _changes(server: Server, alias: str, before: _State) -> bool:
    """Whether somebody writes the document; an index that was just made has none yet."""
    silent = SILENCE if before.who == _NOBODY else 0.0
    while silent < SILENCE:
        asked = time.monotonic()
        time.sleep(_LOOK)
        if _look(server, alias) != before:
            return True
        # While a cluster does not answer, its builder can't write either.
        silent += min(time.monotonic() - asked, _MOST)
    return False


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()
