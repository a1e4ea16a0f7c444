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


def test_rooms_stand_only_on_those_below() -> None:
    """DESIGN: no import runs upward, no circle."""
    floors = [
        {"errors"},
        {"passages", "models"},
        {"splitter"},  # below the readers: documents are always cut
        {"store", "readers", "encoding"},
        {"collection"},
        {"embeddings", "planning"},
        {"loader", "retriever"},
        {"evaluation", "vectorstore", "shards", "distributed"},
        {"cli"},
    ]
    floor_of = {room: n for n, floor in enumerate(floors) for room in floor}
    for path in (ROOT / "rdr_qdrant").rglob("*.py"):
        room = path.relative_to(ROOT / "rdr_qdrant").parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):  # the doors
            continue
        assert room in floor_of, f"{path} is in no room"
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and words[1].startswith("rdr_qdrant."):
                other = words[1].split(".")[1]
                assert other == room or floor_of[other] < floor_of[room], f"{path}: {line}"
