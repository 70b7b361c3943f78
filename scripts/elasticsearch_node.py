"""One process of Elasticsearch in a folder of its own: furnished, started, killed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elasticsearch_package import VERSION, ServerMissing, java

if TYPE_CHECKING:
    from collections.abc import Mapping

# Up in 10 s of processor time, not 21; much that is asked often runs slower than in a server that lives long.
_QUICK = (
    "-XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch "
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
_START_SECONDS = 300
_PBKDF2_ROUNDS = 10_000


@dataclass(frozen=True, kw_only=True)
class Security:
    """Who may come in, and by what certificate the server shows itself.

    Attributes:
        user: the name of the one who may do everything.
        password: their password.
        certificate: PEM file of the server's own certificate; None serves plain http.
        key: PEM file of the certificate's private key.
        authority: PEM file of the authority that signed it.
    """

    user: str
    password: str
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def __repr__(self) -> str:
        return f"Security(user={self.user!r}, tls={self.certificate is not None})"


class Node:
    """One node, which another user runs where we are root.

    Args:
        folder: of its settings, data and logs.
        home: of the unpacked server.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home
        self._launcher: subprocess.Popen[bytes] | None = None

    def furnish(self, settings: Mapping[str, Any], security: Security | None) -> None:
        """Make its folder, and give it to the user it runs as."""
        config = self._folder / "config"
        shutil.copytree(self._home / "config", config)
        for name in ("data", "logs", "tmp"):
            (self._folder / name).mkdir()
        own = {
            "path.data": str(self._folder / "data"),
            "path.logs": str(self._folder / "logs"),
            **(_admit(config, security) if security else {"xpack.security.enabled": False}),
        }
        # JSON is YAML, too.
        (config / "elasticsearch.yml").write_text(json.dumps({**settings, **own}, indent=1))
        owner = other_user()
        for path in (self._folder, *self._folder.rglob("*")) if owner else ():
            os.chown(path, owner["user"], owner["group"])

    def launch(self, heap: str, *, quick: bool) -> None:
        """Begin to start it; `ready` waits for that."""
        options = f"-Xms{heap} -Xmx{heap} -XX:-HeapDumpOnOutOfMemoryError {_QUICK if quick else ''}"
        surroundings = {name: value for name, value in os.environ.items() if "JAVA" not in name}
        surroundings |= {
            "ES_PATH_CONF": str(self._folder / "config"),
            "ES_TMPDIR": str(self._folder / "tmp"),
            "ES_JAVA_HOME": str(java()),
            "ES_JAVA_OPTS": options,
            "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
        }
        with (self._folder / "said").open("wb") as said:
            self._launcher = subprocess.Popen(
                [self._home / "bin" / "elasticsearch", "-d", "-p", self._folder / "pid"],
                env=surroundings,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # or Ctrl-C would reach it before us
                **other_user(),
            )
        (self._folder / "launcher.pid").write_text(str(self._launcher.pid))

    def ready(self) -> None:
        """Wait until it answers: its launcher ends then, and leaves it running.

        Raises:
            ServerMissing: it does not start; the message is the last of what it said.
        """
        if self._launcher is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._launcher.wait(_START_SECONDS)
        if self._launcher.returncode != 0:
            self.kill()
            said = " ".join((self._folder / "said").read_text(errors="replace").splitlines()[-3:])
            reason = said or f"it was not up within {_START_SECONDS} s"
            raise ServerMissing(f"Elasticsearch {VERSION} does not start: {reason}")

    def lives(self) -> bool:
        """Whether it was started, and neither killed nor ended by itself."""
        return self._process("pid") is not None

    def kill(self) -> None:
        """Kill it, and its launcher first, which may be about to start it; wait until it is gone."""
        for name in ("launcher.pid", "pid"):
            while (pid := self._process(name)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
            (self._folder / name).unlink(missing_ok=True)
        if self._launcher is not None:
            self._launcher.wait()

    def _process(self, name: str) -> int | None:
        """The process of a pid file; None where it has ended."""
        try:
            pid = int((self._folder / name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        # The number of a process that ended long ago may be anybody's by now.
        return pid if str(self._folder) in command_line(pid) else None


def command_line(pid: int) -> str:
    """The command line of a process, "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return ""
    show = ("ps", "-ww", "-o", "command=", "-p", str(pid))
    return subprocess.run(show, capture_output=True, text=True, check=False).stdout


def other_user() -> dict[str, Any]:
    """As whom a node is to run: it refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _admit(config: Path, security: Security) -> dict[str, Any]:
    """Write the one user into the server's own files, and the certificate beside them; the settings."""
    salt = os.urandom(32)
    digest = hashlib.pbkdf2_hmac("sha512", security.password.encode(), salt, _PBKDF2_ROUNDS, 32)
    written = "$".join([str(_PBKDF2_ROUNDS), *(base64.b64encode(part).decode() for part in (salt, digest))])
    (config / "users").write_text(f"{security.user}:{{PBKDF2}}{written}\n")
    (config / "users_roles").write_text(f"superuser:{security.user}\n")
    settings: dict[str, Any] = {"xpack.security.enabled": True}
    for name, file in (("certificate", security.certificate), ("key", security.key)):
        if file:
            settings[f"xpack.security.http.ssl.{name}"] = str(shutil.copy(file, config / f"{name}.pem"))
            settings["xpack.security.http.ssl.enabled"] = True
    return settings
