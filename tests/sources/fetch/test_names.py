"""File names of ids."""

from urllib.parse import unquote

import pytest

from lookalike.sources.fetch.names import stem, with_digest

HOSTILE = [
    "../../x", "/etc/x", "..", ".", ".hidden", "a/../b", "C:\\x", "x\0y", "a\nb", "CON", "nul.txt", "com1",
    "~root", "naïve", "商品", "e\u0301", "\u202egpj", "a:b", "-rf", " x", "100%", "%2e%2e%2f", "a*?<>|\"'",
    "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("id_", HOSTILE)
def test_hostile_ids_become_plain_names(tmp_path, id_):
    """A name is ASCII, in the folder itself, visible and no device; the id can be read back from it."""
    name = stem(id_)
    assert (tmp_path / f"{name}.jpg").resolve().parent == tmp_path.resolve()
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|')
    assert name[0] not in ".-"
    assert name.partition(".")[0].upper() not in {"CON", "NUL", "COM1"}
    assert unquote(name, errors="surrogatepass") == id_
    (tmp_path / f"{name}.jpg").write_bytes(b"x")


@pytest.mark.parametrize(
    "id_", ["c2d766ca982eca8304150849735ffef9", "B00ABC-12_x", "shirt 1 (blue), L", "v1.2+b=c@d"]
)
def test_usual_ids_are_names_already(id_):
    """What is safe everywhere stays as it is."""
    assert stem(id_) == id_


def test_different_ids_have_different_names():
    """Escapes can't be forged, and long ids that differ at their end stay apart."""
    long = ["x" * 5_000 + end for end in "ab"] + ["商" * 500, "商" * 501, "%E5%95%86" * 30]
    names = [stem(id_) for id_ in HOSTILE + long]
    assert len({name.lower() for name in names}) == len(names)
    assert max(map(len, names)) <= 255 - len(".webp")


def test_a_digest_tells_upper_from_lower_case():
    """Two ids that are one file on some systems get names that are two everywhere."""
    assert len({with_digest(id_, id_).lower() for id_ in ("Abc", "aBC", "abc")}) == 3
