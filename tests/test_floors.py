"""The plan of the house, checked on the source: floors, rooms, heavy libraries, sizes.

Every import is looked at, those inside functions and those for typing, too.
"""

from __future__ import annotations

import ast
import statistics
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "lookalike"

FLOORS = (
    {"errors", "types"},
    {"plugins", "reports", "system"},
    {"images", "indexes"},
    {"extractors", "sources", "views"},
    {"search", "stores"},
    {"indexing", "testing"},
    {"gallery"},
    {"evaluation"},
    {"training"},
    {"__init__", "__main__", "cli"},
)
"""The rooms of each floor, from the ground up: a folder of the package, or one of its few loose files."""

DOORS = FLOORS[-1]
"""The package's front door knows the command line's, and the other way round."""

LOOSE = {"__init__", "__main__", "errors", "plugins", "reports", "types"}
"""The files that lie in no room."""

HEAVY = {
    "click": {"cli"},
    "elasticsearch": {"stores"},
    "faiss": {"indexes"},
    "fcntl": {"system"},
    "fsspec": {"sources"},
    "httpx": {"sources"},
    "keras": {"extractors", "training"},
    "matplotlib": {"views"},
    "openvino": {"extractors"},
    "pandas": {"evaluation", "search", "sources"},
    "pathspec": {"sources"},
    "pillow_heif": {"images"},
    "pyarrow": {"sources"},
    "rapidfuzz": {"search"},
    "ray": {"indexing"},
    "resource": {"system"},
    "rich": {"cli"},
    "sklearn": {"indexes"},
    "sqlite3": {"extractors", "sources", "stores"},
    "tensorflow": {"extractors", "training"},
}
"""The rooms in which a library may be imported; no other room knows it."""

LONGEST_FILE = 600


class Import(NamedTuple):
    """An import: who, whom, and where it stands."""

    importer: str
    imported: str
    place: str
    typing_only: bool


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    """The room of a module of the package; `__init__` for the package itself."""
    return module.removeprefix("lookalike").strip(".").partition(".")[0] or "__init__"


def _floor(room: str) -> int:
    floors = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    assert floors, f"{room!r} has no floor: give it one in {Path(__file__).name}"
    return floors[0]


def _imports(file: Path) -> list[Import]:
    tree = ast.parse(file.read_bytes())
    module = _module_of(file)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    typing = {id(node) for block in _typing_blocks(tree) for node in ast.walk(block)}
    return [
        Import(module, name, f"{file.relative_to(REPOSITORY)}:{node.lineno}", id(node) in typing)
        for node in ast.walk(tree)
        for name in _names(node, package)
    ]


def _typing_blocks(tree: ast.Module) -> list[ast.If]:
    return [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]


def _names(node: ast.AST, package: str) -> list[str]:
    """The full names of the modules, or of what is taken out of them, that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


@pytest.fixture(scope="module")
def imports():
    """Every import of the package."""
    return [found for file in _sources() for found in _imports(file)]


def test_imports_point_downward(imports):
    """A room imports only from floors below its own, or from itself."""
    wrong = []
    for found in imports:
        if not found.imported.startswith("lookalike."):
            continue
        importer, imported = _room(found.importer), _room(found.imported)
        if imported in {"__version__", importer} or {importer, imported} <= DOORS:
            continue
        if _floor(imported) >= _floor(importer):
            wrong.append(f"{found.place}: {importer} (floor {_floor(importer)}) imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_the_package_itself_is_no_way_around(imports):
    """No room imports the package's front door, which knows the upper floors."""
    wrong = [f.place for f in imports if f.imported == "lookalike" and _room(f.importer) not in DOORS]
    assert not wrong, "\n".join(wrong)


def test_heavy_libraries_stay_in_their_rooms(imports):
    """A library that is slow to load, or an extra, is imported in its own places only."""
    wrong = [
        f"{found.place}: {library} may be imported in {', '.join(sorted(HEAVY[library]))}"
        for found in imports
        if (library := found.imported.partition(".")[0]) in HEAVY
        and _room(found.importer) not in HEAVY[library]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_form_no_cycle(imports):
    """No module needs itself, by way of others, to run."""
    modules = {_module_of(file) for file in _sources()}
    needs: dict[str, set[str]] = {module: set() for module in modules}
    for found in imports:
        target = found.imported if found.imported in modules else found.imported.rpartition(".")[0]
        if target in modules and target not in {found.importer, "lookalike"} and not found.typing_only:
            needs[found.importer].add(target)
    # Whoever needs nobody, and whom nobody needs, is in no cycle; what is left in the end is one.
    left = set(modules)
    while free := {m for m in left if not needs[m] & left or not any(m in needs[n] for n in left)}:
        left -= free
    assert not left, f"these need each other: {', '.join(sorted(left))}"


def test_only_the_doors_print_and_exit():
    """`print`, `sys.exit` and their like stand on the top floor alone; a library raises and returns."""
    wrong = []
    for file in _sources():
        if _room(_module_of(file)) in {"__main__", "cli", "web"}:
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in {"print", "exit", "quit", "sys.exit", "os._exit", "SystemExit"}:
                wrong.append(f"{file.relative_to(REPOSITORY)}:{node.lineno}: {called}")
    assert not wrong, "\n".join(wrong)


def _python_files() -> list[Path]:
    folders = ("src", "tests", "scripts", "benches", "examples")
    return [file for folder in folders for file in sorted((REPOSITORY / folder).rglob("*.py"))]


def test_files_are_short():
    """No file of the repository is longer than 600 lines."""
    lengths = {file: file.read_text(encoding="utf-8").count("\n") for file in _python_files()}
    long = [f"{file.relative_to(REPOSITORY)}: {n}" for file, n in lengths.items() if n > LONGEST_FILE]
    assert not long, "\n".join(long)


def test_functions_are_short():
    """The median function of the package has at most 10 lines, its docstring not counted."""
    lengths = [
        _code_lines(node)
        for file in _sources()
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(lengths) <= 10


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_every_test_says_what_it_shows():
    """Every test function has a docstring: the fact it shows."""
    silent = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno}: {node.name}"
        for file in (REPOSITORY / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)
