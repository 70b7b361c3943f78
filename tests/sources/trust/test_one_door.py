"""Every read of what a gallery names goes through one module; no other one can reach."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "lookalike"

DOOR = Path("sources/access.py")
SOURCES = {Path("sources/folder.py"), Path("sources/remote_walk.py")}
"""Sources that read themselves; who may call that, `test_sources_are_read_at_the_door` shows."""

READERS = {
    "lookalike.sources.remote": {"read", "stat", "is_folder"},
    "lookalike.sources.remote_walk": {"RemoteWalk"},
    "lookalike.images": {"read_file"},
    "lookalike.sources.web": {"download"},
}
"""What reads by a path or an address, by the module that it is imported from."""


def _uses(file):
    """(module, name) of everything that a file takes out of the modules that read."""
    tree = ast.parse(file.read_bytes())
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]  # what is there for types alone
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in READERS:
                    modules[alias.asname or alias.name] = whole
                if alias.name in READERS.get(node.module, ()):
                    yield node.module, alias.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module and node.attr in READERS[module]:
                yield module, node.attr


def test_only_the_door_reads():
    """`read`, `stat` and `is_folder` of remote files, walks of them, files of pictures, and downloads."""
    found = {
        (str(file.relative_to(PACKAGE)), name)
        for file in PACKAGE.rglob("*.py")
        for module, name in _uses(file)
        if (place := file.relative_to(PACKAGE)) not in {DOOR, *SOURCES}
        and ".".join(("lookalike", *place.parent.parts)) != module
    }
    assert found == set()


def test_the_door_is_seen():
    """The test above would see it: what it looks for is what the door uses."""
    names = {name for _, name in _uses(PACKAGE / DOOR)}
    assert names == set().union(*READERS.values())


def test_sources_are_read_at_the_door():
    """A source's `read(id, limits)` is called by the door, its guard, and the check of the contract."""
    callers = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "read"
        and len(node.args) == 2
        and "limits" in ast.unparse(node.args[1]).lower()
        and ast.unparse(node.func.value) != "remote"
    }
    assert callers == {"sources/access.py", "sources/base.py", "testing/contracts.py"}
