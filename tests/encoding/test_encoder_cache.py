"""Cache entries of encoders are valid only while the encoder's files are unchanged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.encoder_cache import CachedEncoder, cache_path, load_cached, save_cached
from tests.checkpoints import write_encoder

ENTRY = CachedEncoder("abc", "cpu", "fp32", (1.5, -2.0))


@pytest.fixture
def folder(tmp_path: Path, tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an encoder, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(tiny_pair[0], tmp_path / "encoder"))


def path_of(
    folder: Path, side: Side = Side.CONTEXT, length: int = 256, precision: str = "fp32"
) -> Path | None:
    return cache_path(side, str(folder), revision=None, max_length=length, precision=precision)


def test_what_was_saved_is_loaded(folder: Path) -> None:
    assert load_cached(path_of(folder)) is None
    save_cached(path_of(folder), ENTRY)
    assert load_cached(path_of(folder)) == ENTRY


def test_each_side_length_and_precision_has_its_own_entry(folder: Path) -> None:
    paths = {
        path_of(folder),
        path_of(folder, side=Side.QUESTION),
        path_of(folder, length=128),
        path_of(folder, precision="int8"),
    }
    assert len(paths) == 4


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt"])
def test_a_changed_file_is_another_encoder(folder: Path, name: str) -> None:
    before = path_of(folder)
    file, state = folder / name, (folder / name).stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # same size, same time
    assert path_of(folder) != before


def test_a_new_file_is_another_encoder(folder: Path) -> None:
    before = path_of(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    assert path_of(folder) != before


def test_what_is_not_there_has_no_path_of() -> None:
    assert path_of(Path("/nowhere/at/all")) is None
    assert load_cached(None) is None
    save_cached(None, ENTRY)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"probe": 1, "weights_digest": ""}', b"\xff"]
)
def test_a_damaged_entry_is_ignored(folder: Path, damage: bytes) -> None:
    path = path_of(folder)
    assert path is not None
    save_cached(path, ENTRY)
    path.write_bytes(damage)
    assert load_cached(path) is None


def test_a_cache_that_cannot_be_written_is_not_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    save_cached(path_of(folder), ENTRY)
    assert load_cached(path_of(folder)) is None


HUB = """
import sys
from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.encoding import Side

pair = RDREmbeddings(context_encoder="someone/context", question_encoder="someone/question")
print(pair.fingerprint().split()[0], len(pair.identity(Side.CONTEXT).probe))
print("torch" in sys.modules, pair.encode_passages([Passage("1", "the river")]).shape)
"""


def test_an_encoder_in_the_hubs_own_cache_loads_by_its_id_and_is_known_then(
    tmp_path: Path,
) -> None:
    """The cache as the hub's client lays it out; the second process loads nothing to know it."""
    for name, side in (("context", Side.CONTEXT), ("question", Side.QUESTION)):
        repository = tmp_path / "hub" / f"models--someone--{name}"
        write_encoder(repository / "snapshots" / ("0" * 40), side)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0" * 40)
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    environment.pop("HF_HUB_CACHE", None)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", HUB], env=environment, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        for _ in range(2)
    ]
    assert outputs[0] == [outputs[1][0], "True (1, 32)"]
    assert outputs[1][1] == "False (1, 32)"
