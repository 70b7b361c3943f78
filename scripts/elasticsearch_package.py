"""The package of Elasticsearch that tests and the demo start: fetched by Maven, unpacked once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import site_cache_path, user_cache_path

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "8.19.21"
COORDINATE = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
SHA256 = "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a"

_FETCH_SECONDS = 1200


class ServerMissing(Exception):
    """No server can be had on this machine; the message says why."""


def unpacked() -> Path:
    """The folder of the unpacked server, fetched when it is not there yet.

    Raises:
        ServerMissing: it can't be fetched.
    """
    found = cache() / VERSION
    with locked():
        if not found.exists():
            with tempfile.TemporaryDirectory(dir=cache(), prefix=".unpacking-") as workshop:
                _unpack(_fetch(Path(workshop)), Path(workshop)).rename(found)
    return found


def extended(source: Path) -> Path:
    """The folder of a second server with a plug-in of one Java file; it shares its other files' disk.

    Raises:
        ServerMissing: the server can't be fetched, or the file can't be compiled here.
    """
    plain = unpacked()
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    found = cache() / f"{VERSION}-{source.stem}-{digest}"
    with locked():
        if not found.exists():
            with tempfile.TemporaryDirectory(dir=cache(), prefix=".extending-") as workshop:
                whole = Path(shutil.copytree(plain, Path(workshop) / "whole", copy_function=os.link))
                _compile(source, whole)
                _readable(whole)
                whole.rename(found)
    return found


def java() -> Path:
    """The folder of the Java to run it on.

    Raises:
        ServerMissing: there is none.
    """
    named = os.environ.get("ES_JAVA_HOME") or os.environ.get("JAVA_HOME")
    if named:
        return Path(named)
    found = shutil.which("java")
    if found is None:
        raise ServerMissing("Elasticsearch needs Java 17 or later, and there is no java on the PATH")
    return Path(found).resolve().parent.parent


def cache() -> Path:
    """Where the server and its runs live; root's own folders could not be read by another user."""
    folder = site_cache_path("lookalike") if os.geteuid() == 0 else user_cache_path("lookalike")
    (folder / "elasticsearch").mkdir(parents=True, exist_ok=True)
    return folder / "elasticsearch"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keep other processes out of the cache for a while."""
    with (cache() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(workshop: Path) -> Path:
    """Bring the package to a folder by Maven, out of its own repository where it is in there."""
    if shutil.which("mvn") is None:
        raise ServerMissing(f"Elasticsearch {VERSION} comes by Maven, and there is no mvn on the PATH")
    print(f"fetching Elasticsearch {VERSION} (107 MB, once) ...", file=sys.stderr, flush=True)
    said = _maven(workshop)
    package = workshop / f"elasticsearch-{VERSION}.zip"
    if not package.exists():
        raise ServerMissing(f"Maven could not fetch {COORDINATE}: {said}")
    with package.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ServerMissing(f"what Maven fetched as {COORDINATE} is not the package we know (SHA-256)")
    return package


def _maven(workshop: Path) -> str:
    """Have Maven copy the package to a folder, and return the first error it told."""
    try:
        done = subprocess.run(
            [
                "mvn",
                "-B",
                "-q",
                "dependency:copy",
                f"-Dartifact={COORDINATE}",
                f"-DoutputDirectory={workshop}",
            ],
            cwd=workshop,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {_FETCH_SECONDS} s"
    errors = (line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line)
    return next(errors, "it gave no reason")


def _unpack(package: Path, workshop: Path) -> Path:
    """Unpack a zip so that every user can read it, and return the folder in it."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(workshop)
    folder = workshop / package.stem
    _readable(folder)
    return folder


def _readable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _compile(source: Path, server: Path) -> None:
    """Put the plug-in of a Java file into a server."""
    compiler = java() / "bin" / "javac"
    if not compiler.exists():
        raise ServerMissing(
            f"a plug-in for it is compiled by the javac of a whole JDK, and {compiler} is not there"
        )
    plugin = server / "plugins" / source.stem
    plugin.mkdir()
    done = subprocess.run(
        [compiler, "-cp", f"{server}/lib/*", "-d", plugin, source],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerMissing(f"{source.name} can't be compiled: {done.stderr}")
    with zipfile.ZipFile(plugin / f"{source.stem}.jar", "w") as archive:
        for compiled in plugin.glob("*.class"):
            archive.write(compiled, compiled.name)
            compiled.unlink()
    descriptor = {
        "name": source.stem,
        "description": source.stem,
        "version": VERSION,
        "elasticsearch.version": VERSION,
        "java.version": "17",
        "classname": source.stem,
    }
    lines = (f"{name}={value}\n" for name, value in descriptor.items())
    (plugin / "plugin-descriptor.properties").write_text("".join(lines))
