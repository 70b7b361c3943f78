"""A gallery as a whole: made, trusted, copied, converted, deleted."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike import stores
from lookalike.errors import LookalikeError, StoreUnavailable, UsageError
from lookalike.extractors.model import IMPORTED, header_for
from lookalike.extractors.names import refused
from lookalike.gallery.reader import Reader
from lookalike.sources import remote, trust
from lookalike.sources.folder import is_address, path_of
from lookalike.stores import location
from lookalike.system import files, forks
from lookalike.system.text import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lookalike.extractors.model import Model
    from lookalike.reports import Progress, Report
    from lookalike.sources.access import Access
    from lookalike.types import Extractor, Header, Store

_MOST = 10_000
"""Folders and hosts that are told apart."""


class Owned(Reader):
    """A gallery that can be made, trusted, copied and deleted; `Gallery` adds pictures to it."""

    def __init__(
        self,
        address: str,
        store: Store | None,
        root: str,
        model: Model,
        *,
        named: tuple[str, ...] = (),
    ) -> None:
        """Use `Gallery.open`."""
        super().__init__(address, store, root, model, named=named)
        self._creating = forks.lock()

    # What it may reach.

    def reach(self) -> dict[str, Any]:
        """What it names outside of the folder that holds it, and whether it is trusted to reach there.

        Returns:
            `trusted`, `private` (whether addresses may lead into this machine or its network), `home` (the
            folder, in which everything is read), `root`, and, of what lies outside, `folders` that were
            indexed, `pictures` (places by how many lie there), and `model`.
        """
        return {"gallery": self.address, **_reach(self.store, self.access)}

    def trust(self, *, allow_private: bool = False) -> None:
        """Let the gallery reach what it names outside of its folder, from now on, for this user here.

        Args:
            allow_private: whether addresses that name a machine may lead into this one or its network.

        Raises:
            StoreUnavailable: that can't be recorded.
        """
        token = self.store.token
        if fault := trust.grant(self.address, token, made=False, private=allow_private):
            raise StoreUnavailable(f"{_UNRECORDED} ({fault}); {_INSTEAD}")
        self._access = replace(self._access, token=token, granted=None)

    def distrust(self) -> bool:
        """Take that back, even of a gallery that this user made; whether it was trusted.

        Raises:
            StoreUnavailable: the record can't be changed.
        """
        count = trust.revoke(self.address)
        self._access = replace(self._access, granted=None)
        return count > 0

    def _make(self, header: Callable[[], Header], *, private: bool = True) -> list[str] | None:
        """Make the gallery if it is not there; what the user should know of that, None if it was there."""
        with self._creating:
            if self._store is not None:
                return None
            self._check_place()  # first: to make the model ready may last long
            wanted = header()
            self._store = store = stores.open_store(self.address, create=wanted)
            token = store.token
            self._access = replace(self._access, token=token)
            made = store.header
            if (made.space, made.root) != (wanted.space, wanted.root) or store.count():
                return None  # somebody else was faster
            granted = trust.Grant(self.address, token, made=True, private=private)
            self._access = replace(self._access, granted=granted)
            fault = trust.grant(self.address, token, made=True, private=private)
            return [f"{_UNRECORDED} ({fault}): {_LATER}"] if fault else []

    def _check_place(self) -> None:
        """Raise `StoreUnavailable` where the gallery would be kept in a folder that can't be written."""
        if not self.address.startswith("/"):
            return  # the store of another kind says so itself
        try:
            files.check_folder(self.address)
        except UsageError as error:
            raise StoreUnavailable(f"{error}; keep the gallery elsewhere with --gallery FOLDER") from None

    @contextmanager
    def _passing_trust_to(self, address: str) -> Iterator[None]:
        """Let a gallery that is made of this one in the block be trusted as this one is."""
        there = stores.exists(address)
        try:
            yield
        finally:
            own = self.access.grant
            if own is not None and not there and stores.exists(address):
                with closing(stores.open_store(address)) as made:
                    trust.grant(address, made.token, made=own.made, private=own.private)

    # Copies of it.

    def convert(
        self,
        model: str | Extractor,
        *,
        name: str | None = None,
        gallery: str | os.PathLike[str] | None = None,
        metric: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Report:
        """Make a gallery of a model whose first steps made this one's vectors, without opening a picture.

        The stored vectors are sent through the model's further steps; everything else comes along. Done
        again it brings that gallery up to date with this one; stopped and started again it goes on.

        Args:
            model: the extractor, or its name: a trained ranker's, say.
            name: of the gallery to make, which lies beside this one.
            gallery: where it is to be instead, as for `open`.
            metric: of the new vectors; default what the model recommends.
            progress: called after every commit.

        Raises:
            ModelMismatch: the model's vectors can't be made of these; or there is another model's gallery.
            UsageError: no place is told, or it is this gallery's own.
        """
        from lookalike import extractors
        from lookalike.indexing import convert as converted

        if gallery is None and (name is None or "://" in self.address):
            raise UsageError("tell the name of the gallery to make, or its place where that is no folder")
        name = name or location.DEFAULT_NAME
        place = Path(self.address).parent / name if gallery is None else gallery
        address = location.address(self.root, name, str(place))
        extractor = extractors.load(model) if isinstance(model, str) else model
        own = self.store.header
        header = replace(
            header_for(extractor, metric, location.root_at(address, self.root)),
            classes=own.classes if own.classes == extractor.classes else None,
        ).with_space(precision=own.space.precision)
        with self._passing_trust_to(address):
            report = converted.convert(self.store, header, address, extractor, progress=progress)
        report.root = self.root
        return report

    def copy(
        self,
        to: str | os.PathLike[str],
        *,
        name: str | None = None,
        root: str | os.PathLike[str] | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Report:
        """Copy the gallery to another place, from one kind of store to another if wanted.

        No picture is opened. Everything comes along: vectors, class scores, metadata, what was skipped or
        removed. Done again it mirrors the gallery once more: what the gallery does not hold goes from the
        copy, too. Stopped and started again it goes on.

        Args:
            to: a store's address, the folder of the pictures (the copy is then one of the galleries inside
                it), or another folder, which becomes the gallery.
            name: of the copy, where `to` is the folder of the pictures; default `default`.
            root: the folder of the pictures, if it is another one where the copy will be used.
            progress: called after every commit.

        Raises:
            ModelMismatch: there is a gallery with other vectors.
            UsageError: it is this gallery's own place, most pictures there are not of this gallery, the copy
                has another root or can have no name, or that kind of store can't keep its vectors.
        """
        from lookalike.indexing import copy as copying

        top = None if root is None else location.absolute(root)
        address = copying.destination(str(to), top or self.root, name)
        with self._passing_trust_to(address):
            return copying.copy(self.store, address, self.root, wanted=top, progress=progress)

    def delete(self) -> None:
        """Delete the gallery with everything in it; the pictures are not touched.

        Raises:
            StoreBusy: another process is writing to it.
        """
        store = self.store
        stores.delete_store(self.address)
        with suppress(StoreUnavailable):
            trust.revoke(self.address)
        store.close()
        self._store = None

    def _root(self) -> str:
        return location.root_at(self.address, self.root)


_UNRECORDED = "that this gallery is trusted can't be recorded"
_INSTEAD = f"{trust.ENVIRONMENT} names paths and addresses that every gallery may reach"
_LATER = f"later commands will not read what lies outside of the folder that holds it; {_INSTEAD}"


def _reach(store: Store, access: Access) -> dict[str, Any]:
    """Say what a gallery names outside of the folder that holds it, as `Owned.reach` does."""
    alone = access.unnamed()
    header = store.header
    prefixes = [folder.prefix for folder in store.folders()]
    paths = (remote.folder_of(p) if is_address(p) else path_of(p, access.root) for p in prefixes)
    folders = sorted({redact_text(path.rstrip("/") or "/") for path in paths if alone.place_leads_out(path)})
    ids = (state.id for state in store.states() if state.status == "picture")
    return {
        "trusted": access.trusted,
        "private": access.grant is not None and access.grant.private,
        "home": access.home,
        "root": access.root,
        "root_outside": alone.place_leads_out(access.root),
        "folders": folders,
        "pictures": dict(_places((id_ for id_ in ids if alone.lies_outside(id_)), access.root)),
        "model": header.space.extractor if _model_needs(header.space.extractor, alone) else None,
    }


def _places(ids: Iterable[str], root: str) -> Counter[str]:
    """How many pictures lie at each place outside: a folder of this machine, or a host."""
    counts: Counter[str] = Counter()
    for id_ in ids:
        place = _host(id_) if is_address(id_) else os.path.dirname(path_of(id_, root))  # noqa: PTH120
        counts[place if place in counts or len(counts) < _MOST else "elsewhere"] += 1
    return Counter(dict(sorted(counts.items())))


def _host(address: str) -> str:
    scheme, _, rest = redact_text(address).rpartition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _model_needs(name: str, access: Access) -> bool:
    """Whether the model in the header is one that has to be trusted."""
    try:
        return name != IMPORTED and bool(refused(name, access))
    except LookalikeError:  # it is no model's name here
        return False
