"""Foreign networks are tried in a process of their own before they are used: loaded, compiled, run once.

A file of a few kilobytes may hold a loop without end, or ask for more memory than there is; nothing in it
shows that before it is run. What came to an end within the limits may be used from then on. The verdict is
kept in the user's cache, by the digest of the file; so that the file need not be read for it, also whose
digest it was, by its size and times.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike import errors
from lookalike.errors import ModelError
from lookalike.extractors import runtime
from lookalike.system import posix, process

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.extractors.names import Name
    from lookalike.types import Precision

SECONDS, MEMORY = "LOOKALIKE_MODEL_SECONDS", "LOOKALIKE_MODEL_MEMORY"
"""The environment variables that change the limits."""

_SECONDS, _MEMORY = 60, 8_000_000_000


def seconds() -> int:
    """Return how long a network may be read, compiled and run for the first time.

    Raises:
        UsageError: `LOOKALIKE_MODEL_SECONDS` is no whole number above 0.
    """
    return process.positive(SECONDS, _SECONDS)


def memory() -> int:
    """Return how many bytes it may take for that.

    Raises:
        UsageError: `LOOKALIKE_MODEL_MEMORY` is no whole number above 0.
    """
    return process.positive(MEMORY, _MEMORY)


def impose() -> None:
    """Limit the memory of this process; on macOS, which does not limit it, time is the only limit."""
    posix.limit_memory(memory())


def in_words() -> str:
    """Say what the limits are, and how to raise them."""
    return (
        f"the limits are {seconds()} seconds and {memory() / 1e9:,.1f} GB; if it may take more, "
        f"raise {SECONDS} or {MEMORY} (bytes)"
    )


_MODULE = "lookalike.extractors.trial"
_OURS = "ours"

# How an ONNX file says that numbers lie in another one: the key of an entry, as protobuf writes it.
_ELSEWHERE = b"\x0a\x08location"


def require(path: Path, name: Name, precision: Precision | None) -> None:
    """Make sure that a network comes to an end within the limits, by trying it if that is not known.

    Args:
        path: of an `.onnx` or `.xml` file.
        name: the model's name, with the layer to cut at.
        precision: of the arithmetic; None for the best one here.

    Raises:
        ModelError: it does not, or not within the limits.
        LookalikeError: whatever loading it raises.
    """
    cut = (name.layer, name.pool, name.options)
    _require(path, _Question("extractor", str(name), precision, _key(name.options), _key(cut)))


def require_decoder(path: Path) -> None:
    """Make sure of the same of the network that draws pictures of a trained model's vectors."""
    _require(path, _Question("decoder", str(path.parent), None, "decoder", "decoder"))


class _Question(NamedTuple):
    """What is tried: a kind, a name, a precision; and the keys of the verdicts on the whole and on a cut."""

    kind: str
    name: str
    precision: str | None
    whole: str
    cut: str


def _require(path: Path, question: _Question) -> None:
    digest = digest_of(path)
    if _place(digest, _OURS).exists():
        return
    # What was run as a whole can be cut anywhere, for that is a part of it.
    whole, cut = _place(digest, question.whole), _place(digest, question.cut)
    known = next((found for found in (_kept(whole), _kept(cut)) if found and _holds(found)), None)
    if known is None:
        known = {"openvino": runtime.openvino().__version__, "limits": _limits()}
        known["refusal"], was_whole = _tried(question)
        _keep(whole if was_whole else cut, known)
    if known["refusal"]:
        raise ModelError(f"{path} {known['refusal']}; {in_words()}")


def approve(path: Path) -> None:
    """Remember that a network was made here, and need not be tried."""
    with suppress(OSError):
        _keep(_place(digest_of(path), _OURS), {})


def digest_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of all that decides what a network does.

    Raises:
        ModelError: a file of it can't be read.
    """
    try:
        kept = _place(hashlib.sha256(os.fsencode(path.resolve())).hexdigest(), "stamps")
        known = _kept(kept)
        if known is not None and known.get("stamps") == _stamps(map(Path, known.get("stamps", ()))):
            return str(known["digest"])
        files = files_of(path)
        others = _others(path)
        stamps = _stamps([*files, *others])
        state = hashlib.sha256()
        for file in files:
            if str(file) in stamps:  # that one is missing is said when it is read
                with file.open("rb") as opened:
                    state.update(hashlib.file_digest(opened, "sha256").digest())
        if others:
            state.update(json.dumps(_stamps(others), sort_keys=True).encode())
        digest = state.hexdigest()
        if all(str(file) in stamps for file in files):
            _keep(kept, {"stamps": stamps, "digest": digest})
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
    return digest


def files_of(path: Path) -> list[Path]:
    """Return the files of a network but for those that an ONNX file names."""
    return [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]


def has_numbers_elsewhere(path: Path) -> bool:
    """Tell whether an ONNX file keeps numbers in other files."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(_ELSEWHERE) >= 0


def _others(path: Path) -> list[Path]:
    """Where an ONNX file may keep its numbers: whatever lies beside it."""
    if path.suffix.lower() != ".onnx" or not has_numbers_elsewhere(path):
        return []
    return sorted(file for file in path.parent.iterdir() if file != path and file.is_file())


def _stamps(files: Iterable[Path]) -> dict[str, list[int]]:
    """What changes whenever a file does; of one that is gone, nothing."""
    found = {}
    for file in files:
        with suppress(OSError):
            status = file.stat()
            found[str(file)] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    return found


def _holds(verdict: dict[str, Any]) -> bool:
    """Whether a verdict is one today: that of another OpenVINO, or of lower limits, is not."""
    if verdict.get("openvino") != runtime.openvino().__version__ or "refusal" not in verdict:
        return False
    then = verdict.get("limits")
    if not isinstance(then, list) or len(then) != len(_limits()):
        return False
    return not verdict["refusal"] or all(now <= before for now, before in zip(_limits(), then, strict=True))


def _limits() -> list[int]:
    return [seconds(), memory()]


def _key(what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _tried(question: _Question) -> tuple[str, bool]:
    """Try a network; why it may not be used, or nothing, and whether all of it was run.

    Raises:
        LookalikeError: what loading or running it raised.
    """
    asked = json.dumps(question[:3]).encode()
    code, answer, last = run_bounded([_MODULE], asked, seconds())
    if code is None:
        return (
            f"was not read, compiled and run once within {seconds()} seconds, and was stopped",
            False,
        )
    if code:
        said = last or "killed, perhaps for want of memory"
        return f"ended the process that tried it ({code}): {said}", False
    kind, message, was_whole = json.loads(answer)
    if kind not in {None, "refusal"}:
        raise getattr(errors, kind, ModelError)(message)
    return message, was_whole


def run_bounded(
    module: Sequence[str], given: bytes, patience: float | None, **options: Any
) -> tuple[int | None, bytes, str]:
    """Run a module of ours in a process of its own.

    Args:
        module: its name and arguments.
        given: its standard input.
        patience: seconds after which it is stopped; None for no limit.
        options: of `subprocess.run`.

    Returns:
        How it ended, None where it was stopped; what it wrote; the last line of its standard error.
    """
    options = {"stdout": subprocess.PIPE} | options
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(  # noqa: S603 - not one of the folder we are in: -P
                [sys.executable, "-P", "-m", *module],
                input=given,
                stderr=said,
                timeout=patience,
                check=False,
                **options,
            )
        except subprocess.TimeoutExpired:
            return None, b"", ""
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
        return done.returncode, done.stdout or b"", last[0] if last else ""


def _place(digest: str, key: str) -> Path:
    return runtime.cache_folder() / "trials" / f"{digest[:40]}-{key}.json"


def _kept(place: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(place.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else None
    return None


def _keep(place: Path, content: dict[str, Any]) -> None:
    """Remember something, where anything can be written."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = place.with_suffix(f".{os.getpid()}.writing")
        scratch.write_text(json.dumps(content), encoding="utf-8")
        scratch.replace(place)
