"""The Python in README and docs runs as it stands, page by page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/quickstart.md", "docs/python-api.md")


@pytest.mark.parametrize("page", PAGES)
def test_python_on_a_page_runs(page, photos, tmp_path):
    """All Python blocks of a page, one after the other, run without a warning or an error."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (REPOSITORY / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    pictures = tmp_path / "Pictures"
    shutil.copytree(photos, pictures)
    shutil.copyfile(pictures / "rocket.jpg", pictures / "beach.jpg")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        cwd=pictures,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": cache},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_commands_of_the_readme_run_on_the_pictures_of_the_demo(stamps, tmp_path):
    """One after the other, each does what it says: nothing fails, nothing is empty, every file is there."""
    blocks = re.findall(
        r"^```\n(.*?)^```$", (REPOSITORY / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (block,) = (block for block in blocks if "lookalike index" in block)
    folder = tmp_path / ".demo" / "pictures" / "stamps"
    for kind in ("animals", "food", "vehicles"):
        shutil.copytree(stamps / kind, folder / kind)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commands = [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]
    assert commands.pop(0) == "cd .demo/pictures/stamps"
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command], cwd=folder, env={**os.environ, "PATH": path},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert not re.search("^nothing found|^no picture", done.stderr, re.MULTILINE), (
            f"{command}\n{done.stderr}"
        )
    written = {path.name for path in folder.parent.iterdir()}
    assert written >= {"owls.html", "apples", "similar.csv", "compare.png", "ranker"}
    assert (folder.parent / "apples" / "apple_granny_smith.png").is_file()


def _links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        *sorted(str(page.relative_to(REPOSITORY)) for page in (REPOSITORY / "docs").glob("*.md")),
    ],
)
def test_links_lead_somewhere(page):
    """Every relative link of a page names a file of the repository."""
    folder = (REPOSITORY / page).parent
    assert [link for link in _links(REPOSITORY / page) if not (folder / link).exists()] == []
