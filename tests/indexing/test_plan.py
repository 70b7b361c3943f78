"""The plan: what is new, changed, gone, or merely out of sight."""

from contextlib import ExitStack

import numpy as np
import pytest

from lookalike.indexing.plan import Wishes, merge, plan
from lookalike.sources.folder import Walk
from lookalike.stores import open_store
from lookalike.types import Folder, Found, Header, Record, Skipped, Space, State

HEADER = Header(Space("toy", "0" * 32, 1, "inner", "f32", normalized=False, row_type="float32"), "")


@pytest.fixture
def remembering(tmp_path_factory):
    """Makes a store that remembers these states and folders."""
    stores = []

    def make_store(*states, folders=()):
        store = open_store(tmp_path_factory.mktemp("gallery") / "g", create=HEADER)
        stores.append(store)
        pictures = [state for state in states if state.status != "skipped"]
        records = [Record(s.id, s.source, s.size, s.mtime_ns, s.id.encode(), 1, 1) for s in pictures]
        with store.writing():
            store.write(records, np.zeros((len(records), 1), np.float32))
            store.delete([s.id for s in states if s.status == "removed"], keep_out=True)
            store.skip([Skipped(s.id, s.size, s.mtime_ns, "") for s in states if s.status == "skipped"])
            store.set_folders(folders)
        return store

    yield make_store
    for store in stores:
        store.close()


def remember(path, root, status="picture", source="walk", shift=0):
    file = path.stat()
    return State(path.relative_to(root).as_posix(), status, source, file.st_size, file.st_mtime_ns + shift)


def gone(id_, status="picture", source="walk"):
    return State(id_, status, source, 1, 1)


@pytest.fixture
def root(tmp_path):
    for name in ("a.jpg", "b.jpg", "d/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def make():
    """Makes plans, and closes them in the end."""
    with ExitStack() as plans:

        def make_plan(root, store, *, prefix="", top=None, **wishes):
            known = frozenset(folder.prefix for folder in store.folders())
            made = plan(store, [Walk(str(top or root), prefix, known=known)], Wishes(**wishes))
            plans.callback(made.close)
            return made

        yield make_plan


def todo(planned):
    return [work.id for work in planned.works()]


def test_merge_pairs_two_sorted_streams():
    """Ids of either side alone come with None for the other, all of them in order."""
    found = [Found(id_, 0, 0) for id_ in "bce"]
    states = [gone(id_) for id_ in "abd"]
    pairs = [(f and f.id, s and s.id) for f, s in merge(found, states)]
    assert pairs == [(None, "a"), ("b", "b"), ("c", None), (None, "d"), ("e", None)]


def test_everything_is_new_at_first(root, make, remembering):
    """A store that knows nothing: every file is to be read, in the order of ids."""
    planned = make(root, remembering())
    assert todo(planned) == ["a.jpg", "b.jpg", "d/c.jpg"]
    assert planned.folders == [Folder("", root.stat().st_dev)]


def test_size_and_mtime_tell_what_changed(root, make, remembering):
    """A file of the same size and mtime is left alone, another one is read."""
    store = remembering(remember(root / "a.jpg", root), remember(root / "b.jpg", root, shift=1))
    planned = make(root, store)
    assert planned.unchanged == 1
    assert todo(planned) == ["b.jpg", "d/c.jpg"]


def test_only_what_a_walk_had_found_vanishes(root, make, remembering):
    """Pictures named one by one, from memory or an address stay when the walk does not see them."""
    store = remembering(
        gone("x"), gone("y", source="file"), gone("z", source="array"), gone("w", source="url")
    )
    assert make(root, store).vanished == ["x"]


def test_a_folder_that_is_gone_from_its_parent_vanishes(root, make, remembering):
    """The parent was really listed, so what lay in the folder is gone."""
    assert make(root, remembering(gone("old/x.jpg"))).vanished == ["old/x.jpg"]


def test_what_was_skipped_is_tried_again_when_it_changes(root, make, remembering):
    """An unreadable file is left alone until it changes, or `retry` insists; gone, it is forgotten."""
    same = remember(root / "a.jpg", root, status="skipped")
    changed = remember(root / "b.jpg", root, status="skipped", shift=1)
    planned = make(root, remembering(same, changed, gone("x", status="skipped")))
    assert todo(planned) == ["b.jpg", "d/c.jpg"]
    assert planned.forget == ["x"]
    assert todo(make(root, remembering(same, changed), retry=True)) == ["a.jpg", "b.jpg", "d/c.jpg"]


def test_what_was_removed_stays_out(root, make, remembering):
    """A removed picture is not read again, even when changed, unless `restore` asks for it."""
    store = remembering(
        remember(root / "a.jpg", root, status="removed", shift=1), gone("x", status="removed")
    )
    planned = make(root, store)
    assert todo(planned) == ["b.jpg", "d/c.jpg"]
    assert planned.forget == []
    assert todo(make(root, store, restore=True)) == ["a.jpg", "b.jpg", "d/c.jpg"]


def test_a_root_that_is_missing_keeps_its_pictures(root, make, remembering):
    """A folder that is not there proves nothing; `prune` insists."""
    store = remembering(gone("x"), folders=[Folder("", root.stat().st_dev)])
    planned = make(root, store, top=root / "unplugged")
    assert (planned.missing, planned.vanished) == (1, [])
    assert planned.unseen == {"": "No such file or directory"}
    assert planned.kept == {"": 1}
    assert make(root, store, top=root / "unplugged", prune=True).vanished == ["x"]


def test_a_root_on_another_device_keeps_its_pictures(root, make, remembering):
    """The device is remembered as it was until nothing is missed on the new one."""
    other = [Folder("", root.stat().st_dev + 1)]
    planned = make(root, remembering(gone("x"), folders=other))
    assert (planned.missing, planned.vanished, planned.folders) == (1, [], other)
    fine = make(root, remembering(remember(root / "a.jpg", root), folders=other))
    assert (fine.missing, fine.folders) == (0, [Folder("", root.stat().st_dev)])


def test_a_root_that_is_suddenly_empty_keeps_its_pictures(root, tmp_path_factory, make, remembering):
    """Not a single file where there were pictures: rather an unmounted disk than a clean-up."""
    empty = tmp_path_factory.mktemp("empty")
    planned = make(empty, remembering(gone("x"), folders=[Folder("", empty.stat().st_dev)]))
    assert (planned.missing, planned.vanished) == (1, [])
    assert "suddenly empty" in planned.unseen[""]


def test_a_mount_point_that_is_not_mounted_keeps_its_pictures(root, make, remembering):
    """A folder that was a device of its own and is an ordinary one now is not seen, the rest is."""
    device = root.stat().st_dev
    store = remembering(gone("d/x"), gone("y"), folders=[Folder("", device), Folder("d/", device + 1)])
    planned = make(root, store)
    assert (planned.missing, planned.vanished) == (1, ["y"])
    assert planned.unseen == {"d/": "is not mounted"}


def test_a_folder_elsewhere_has_absolute_ids(root, tmp_path_factory, make, remembering):
    """A walk of a folder outside of the root leaves the root's pictures alone, and the other way."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "e.jpg").write_bytes(b"e")
    prefix = f"{elsewhere}/"
    store = remembering(gone(f"{prefix}x"), gone("y"))
    planned = make(root, store, prefix=prefix, top=elsewhere)
    assert (todo(planned), planned.vanished) == ([f"{prefix}e.jpg"], [f"{prefix}x"])
    assert make(root, store).vanished == ["y"]


def test_a_random_part_removes_nothing_and_repeats(root, make, remembering):
    """The same seed chooses the same files, and files that are not seen are not gone."""
    first = make(root, remembering(gone("x")), limit=2, seed=5)
    assert len(todo(first)) == 2
    assert first.vanished == []
    assert todo(make(root, remembering(), limit=2, seed=5)) == todo(first)
    chosen = {tuple(todo(make(root, remembering(), limit=2, seed=seed))) for seed in range(20)}
    assert len(chosen) == 3


def test_the_id_of_a_picture_from_memory_is_taken(root, make, remembering):
    """A file whose id belongs to a picture that is no file is reported, not mixed up with it."""
    planned = make(root, remembering(gone("a.jpg", source="array")))
    assert [(skip.path, "not a file" in skip.reason) for skip in planned.reported] == [("a.jpg", True)]
    assert planned.faults == []
    assert todo(planned) == ["b.jpg", "d/c.jpg"]


def test_a_link_that_leads_nowhere_now_keeps_its_picture(root, make, remembering):
    """A picture behind a link whose disk is unplugged is missing, not gone, unless `prune` insists."""
    (root / "link.jpg").symlink_to(root / "unplugged" / "x.jpg")
    planned = make(root, remembering(gone("link.jpg")))
    assert (planned.missing, planned.faults) == (1, [])
    assert [skip.path for skip in planned.reported] == ["link.jpg"]
    assert make(root, remembering(gone("link.jpg")), prune=True).vanished == ["link.jpg"]
    assert [fault.id for fault in make(root, remembering()).faults] == ["link.jpg"]


def test_a_mount_point_that_is_suddenly_empty_keeps_its_pictures(root, make, remembering):
    """Emptied below a root that is not: the rest is judged as usual."""
    (root / "d" / "c.jpg").unlink()
    device = root.stat().st_dev
    store = remembering(gone("d/x"), gone("y"), folders=[Folder("", device), Folder("d/", device)])
    planned = make(root, store)
    assert (planned.missing, planned.vanished) == (1, ["y"])
    assert planned.unseen == {"d/": "is suddenly empty"}


def test_a_folder_indexed_by_itself_may_go(root, make, remembering):
    """It is no mount point: once its parent lacks it, its pictures are gone, and so is the folder."""
    device = root.stat().st_dev
    store = remembering(gone("old/x"), folders=[Folder("", device), Folder("old/", device)])
    planned = make(root, store)
    assert (planned.vanished, planned.folders) == (["old/x"], [Folder("", device)])


def test_a_random_part_learns_nothing_of_devices(root, make, remembering):
    """The device remembered stays until a whole walk has missed nothing on the new one."""
    other = [Folder("", root.stat().st_dev + 1)]
    assert make(root, remembering(gone("x"), folders=other), limit=1).folders == other
    assert make(root, remembering(), limit=1).folders == [Folder("", root.stat().st_dev)]


def test_a_file_named_first_and_walked_later_is_walked(root, make, remembering):
    """From then on it goes when its file does."""
    named = remember(root / "a.jpg", root, source="file")
    assert make(root, remembering(named)).walked == [named._replace(source="walk")]


def test_a_seed_may_be_any_number(root, make, remembering):
    """However large, or negative."""
    assert len(todo(make(root, remembering(), limit=2, seed=-(10**40)))) == 2
