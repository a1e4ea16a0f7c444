"""What is built is what people install."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and an sdist, by the project's own build backend."""
    import os

    from hatchling import build

    folder = tmp_path_factory.mktemp("dist")
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        build.build_wheel(str(folder))
        build.build_sdist(str(folder))
    finally:
        os.chdir(here)
    return folder


def test_the_wheel_holds_the_package_its_types_and_the_example_data(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "rdr_qdrant/py.typed",
        "rdr_qdrant/cli/app.py",
        "rdr_qdrant/example_data/passages.tsv",
        "rdr_qdrant/example_data/questions.tsv",
    } <= names
    assert not any(name.startswith("tests/") for name in names)


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "examples/data/passages.tsv"} <= names
