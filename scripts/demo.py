"""The demo of `make demo`: index pictures, search them, show the answer as a page.

DIR and QUERY in the environment put one's own folder and picture in place of the real pictures
that install by package. Every step is a command as the user would type it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from pictures import DEFAULT, PicturesMissing, photographs, stamps

PROGRAM = Path(sys.executable).with_name("lookalike")
PAGE = DEFAULT.parent / "result.html"


def main(folder: str, query: str) -> None:
    """Index a folder, search it, and say where the answer is and what to do next.

    Args:
        folder: one's own; "" for the real pictures.
        query: one's own picture; "" for one of the folder's.
    """
    asked = Path(query).expanduser().absolute() if query else None
    if folder:
        here, word = Path(folder).expanduser().absolute(), ""
        if not here.is_dir():
            sys.exit(f"DIR={folder}: no such folder")
    else:
        here, example, word = real_pictures()
        asked = asked or here / example
    print(f"\n$ cd {shlex.quote(str(here))}")
    lookalike(here, "index", ".")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    lookalike(here, "search", _as_typed(asked, here) or _any_picture(here), "-k", "12", "--html", str(PAGE))
    if word:
        lookalike(here, "find", word, "-k", "5")
    print(_ending(own=bool(folder)))


def real_pictures() -> tuple[Path, str, str]:
    """Bring real pictures here: their folder, the one to search for, and a word to find."""
    print("bringing real pictures ...", flush=True)
    try:
        return stamps(DEFAULT / "stamps"), "animals/birds/pink_flamingo.png", "bird"
    except PicturesMissing as missing:
        print(f"going on with scikit-image's photographs alone: {missing}")
        return photographs(DEFAULT / "photographs"), "motorcycle_left.png", "cat"


def _as_typed(picture: Path | None, here: Path) -> str:
    if picture is None:
        return ""
    return str(picture.relative_to(here) if picture.is_relative_to(here) else picture)


def _any_picture(here: Path) -> str:
    """The query where none was told: the first picture of the gallery."""
    from lookalike import Gallery

    with Gallery.open(here, create=False) as gallery:
        first = next(gallery.records(), None)
    if first is None:
        sys.exit(f"{here} holds no picture: try another DIR")
    return f"id:{first.id}"


def lookalike(here: Path, *words: str, gallery: str = "") -> None:
    """Show a command and run it, on a gallery elsewhere where one is named; its failure ends the demo."""
    print(f"\n$ lookalike {shlex.join(words)}", flush=True)
    surroundings = {name: value for name, value in os.environ.items() if name != "LOOKALIKE_GALLERY"}
    surroundings |= {"LOOKALIKE_GALLERY": gallery} if gallery else {}
    code = subprocess.run([PROGRAM, *words], cwd=here, env=surroundings, check=False).returncode
    if code:
        sys.exit(code)


def _ending(*, own: bool) -> str:
    program = os.path.relpath(PROGRAM)
    mine = "" if own else "\n  make demo DIR=~/Pictures QUERY=beach.jpg      the same on your own pictures"
    return f"""
The answer as a page: {PAGE.as_uri()}

What next:{mine}
  {program + " --help":<45} what else there is
  docs/quickstart.md                            the first steps, on the command line and in Python"""


if __name__ == "__main__":
    main(os.environ.get("DIR", ""), os.environ.get("QUERY", ""))
