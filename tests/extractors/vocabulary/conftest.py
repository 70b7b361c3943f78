"""WordNet 3.0, from a Debian package."""

import os
from pathlib import Path

import pytest

INSTALLED = Path(os.environ.get("WORDNET", "/usr/share/wordnet"))


@pytest.fixture(scope="session")
def wordnet(scripts):
    """WordNet's folder; continuous integration must have it."""
    if (INSTALLED / "data.noun").is_file():
        return INSTALLED
    pictures = scripts("pictures")
    try:
        return pictures.debian_package(
            pictures.DEFAULT.parent / "wordnet", "wordnet-base", "./usr/share/wordnet/", ""
        )
    except pictures.PicturesMissing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"WordNet is missing: {missing}")
