"""Addresses of stores: which there are, and that what may be a secret in one is repeated nowhere."""

from __future__ import annotations

import traceback

import pytest

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import NotFound, UsageError
from lookalike.stores import delete_store, exists, open_store

SECRET = "hunter2-sEcret"  # noqa: S105
PLACES = [
    "elastic:{}@host/photos",
    "elastic:{}@host:9200/photos",
    "elastic:{}@[::1]:9200/photos",
    "elastic:pa/{}@host/photos",
    "elastic:pa?{}@host/photos",
    "elastic:pa#{}@host/photos",
    "elastic:99/{}@host/photos",
    "elastic:{}/photos",
    "elastic:{}",
    "elastic:pa/{}/photos",
    "elastic:pa?{}/photos",
    "elastic:pa#{}/photos",
    "host:9200,elastic:{}/photos",
    "[::1:{}/photos",
    "[{}]/photos",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("scheme", ["elasticsearch", "elasticsearch+https", "elasticseach"])
def test_a_secret_in_an_address_is_not_repeated(scheme, place, capsys, monkeypatch):
    """Addresses are shown, written down and seen by others: neither an error nor where it came from is."""
    address = f"{scheme}://{place.format(SECRET)}"
    for call in (open_store, exists, delete_store):
        with pytest.raises(UsageError) as caught:
            call(address)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    monkeypatch.setenv("LOOKALIKE_DEBUG", "1")
    assert run(["info", "--gallery", address]) == 2
    assert SECRET not in str(capsys.readouterr())


@pytest.mark.parametrize("address", ["elasticsearch://[::1/photos", "elasticsearch://ho\u2100st/photos"])
def test_what_is_no_address_is_said(address):
    """What Python can't take apart is an error of the user's, in our words."""
    with pytest.raises(UsageError, match="names no host and port"):
        open_store(address)


@pytest.mark.parametrize(
    "address", ["elasticseach://es:9200/photos", "Elasticsearch://es/photos", "s3://b/photos"]
)
def test_an_unknown_scheme_is_no_folder(address, root, monkeypatch):
    """A slip in a scheme makes no folder of that name, but an error that tells the schemes there are."""
    monkeypatch.chdir(root.parent)
    before = sorted(root.parent.iterdir())
    with Gallery.open(root, model="toy") as gallery:
        gallery.add()
        with pytest.raises(UsageError, match=r"no kind of store; there are elasticsearch, .*sqlite, and"):
            gallery.copy(address)
    with pytest.raises(UsageError, match="no kind of store"):
        Gallery.open(root, gallery=address)
    assert sorted(root.parent.iterdir()) == before


@pytest.mark.parametrize(
    "path", ["C:\\Pictures", "C:/Pictures", "C://Pictures", "a:b", "/mnt/a://b", "b c/d"]
)
def test_a_path_is_a_path(path):
    """A drive, or a colon in a name, makes no address of a path."""
    with pytest.raises(NotFound, match="there is no gallery in"):
        open_store(path)
