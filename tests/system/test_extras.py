"""What to install where an extra is missing, for every way lookalike can have been installed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lookalike.system.imports import missing

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
ASK = "from lookalike.system.imports import install_command as ask; print(ask('heif')); print(ask('keras'))"

METADATA = """\
Metadata-Version: 2.4
Name: lookalike
Version: 9
Provides-Extra: all
Provides-Extra: heif
Provides-Extra: keras
Requires-Dist: click>=8.1
Requires-Dist: pillow-heif>=0.18; extra == 'all'
Requires-Dist: pillow-heif>=0.18; extra == 'heif'
Requires-Dist: keras>=3.12; extra == "keras"
Requires-Dist: tensorflow>=2.18; (sys_platform == 'darwin') and extra == 'keras'
"""


@pytest.fixture
def ask(tmp_path):
    """Ask for commands in a process that finds lookalike installed as told."""

    def asked(origin, cwd=tmp_path):
        site = tmp_path / "site" / "lookalike-9.dist-info"
        site.mkdir(parents=True, exist_ok=True)
        (site / "METADATA").write_text(METADATA)
        if origin is not None:
            (site / "direct_url.json").write_text(json.dumps(origin))
        path = f"import sys; sys.path[:0] = [{str(site.parent)!r}, {str(REPOSITORY / 'src')!r}];"
        done = subprocess.run(
            [sys.executable, "-c", path + ASK], cwd=cwd, capture_output=True, text=True, check=True
        )
        return [shlex.split(line) for line in done.stdout.splitlines()]

    return asked


@pytest.fixture
def clone(tmp_path):
    """A folder with the project, whose name needs quoting."""
    folder = tmp_path / "my clone"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_from_a_clone_the_clone_is_named(ask, clone):
    """A clone that is still there is what to install from: `.` in it, its path elsewhere."""
    origin = {"url": clone.as_uri(), "dir_info": {}}
    assert ask(origin)[0] == ["pip", "install", f"{clone}[heif]"]
    assert ask(origin, cwd=clone)[0] == ["pip", "install", ".[heif]"]
    editable = {"url": clone.as_uri(), "dir_info": {"editable": True}}
    assert ask(editable)[0] == ["pip", "install", "-e", f"{clone}[heif]"]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        {"url": "file:///gone/clone", "dir_info": {}},
        {"url": "file:///gone/lookalike-9-py3-none-any.whl", "archive_info": {}},
        {"url": "https://example.org/lookalike.git", "vcs_info": {"vcs": "git"}},
        {"url": 3},
        ["nonsense"],
    ],
)
def test_without_a_clone_the_packages_are_named(ask, origin):
    """However else it was installed, the command names the packages of the extra, and never lookalike."""
    heif, keras = ask(origin)
    assert heif == ["pip", "install", "pillow-heif>=0.18"]
    assert keras == ["pip", "install", "keras>=3.12", "tensorflow>=2.18; (sys_platform == 'darwin')"]
    assert [str(Requirement(one).name) for one in keras[2:]] == ["keras", "tensorflow"]


def test_no_message_names_the_package_on_an_index():
    """Every message about an extra comes from one function: no source file spells the command out."""
    spelled = re.compile(r"pip install[^\n]*lookalike\[")
    assert [str(f) for f in SOURCES if spelled.search(f.read_text(encoding="utf-8"))] == []
    assert str(missing("a plot", "plot")).startswith("a plot needs an extra package: pip install ")
