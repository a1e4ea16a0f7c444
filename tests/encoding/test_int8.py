"""8-bit integers: near to float32, no vector depending on its neighbours, made once, kept safe."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DPRConfig

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.collection.compatibility import check_identity
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.checkpoint import Checkpoint, load_checkpoint
from rdr_qdrant.encoding.cls_forward import PlainForward
from rdr_qdrant.encoding.device import resolve_precision
from rdr_qdrant.errors import ModelError
from tests.checkpoints import CLASSES, VOCABULARY, write_encoder

pytest.importorskip("onnxruntime")

from rdr_qdrant.encoding import onnx_int8 as int8
from rdr_qdrant.encoding.onnx_int8 import Int8Forward
from rdr_qdrant.encoding.onnx_int8_graph import quantise

PAD = VOCABULARY.index("[PAD]")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rdr-qdrant" / "int8"


def loaded(folder: Path, side: Side = Side.CONTEXT, **shape: Any) -> Checkpoint:
    return load_checkpoint(side, str(write_encoder(folder, side, **shape)))


def forward(checkpoint: Checkpoint) -> Int8Forward:
    return Int8Forward(checkpoint.model, checkpoint.weights_digest())


def some_ids(*lengths: int) -> list[list[int]]:
    random = np.random.default_rng(0)
    return [[2, *random.integers(5, len(VOCABULARY), n - 2).tolist(), 3] for n in lengths]


def distance(checkpoint: Checkpoint, ids: list[list[int]]) -> float:
    """Largest relative distance to float32."""
    exact = PlainForward(checkpoint.model, "cpu")(ids)
    found = forward(checkpoint)(ids)
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    apart = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    return float(apart.max())


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("projection", [0, 24])
def test_vectors_are_near_those_of_float32(tmp_path: Path, side: Side, projection: int) -> None:
    """These tiny random encoders are moved by up to 0.06; a mistake moves them by about 1."""
    checkpoint = loaded(tmp_path, side, layers=3, projection=projection)
    assert distance(checkpoint, some_ids(60, 41, 41, 7, 3)) < 0.1


def test_the_last_layer_is_exact(tmp_path: Path) -> None:
    ids = some_ids(60, 41, 41, 7, 2)
    ids[1][5:8] = [PAD] * 3  # a literal [PAD] in a text is attended
    assert distance(loaded(tmp_path, layers=1), ids) < 1e-5


def test_no_vector_depends_on_the_others_in_its_batch(tmp_path: Path) -> None:
    run, ids = forward(loaded(tmp_path, layers=3)), some_ids(50, 30, 30, 5)
    alone = np.concatenate([run([one]) for one in ids])
    np.testing.assert_allclose(run(ids), alone, rtol=1e-4, atol=1e-4)


def test_weights_around_128_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, ids = loaded(tmp_path), some_ids(40, 12)
    usual = forward(checkpoint)(ids)
    monkeypatch.setattr(int8, "_adds_without_overflow", lambda: False)
    np.testing.assert_allclose(forward(checkpoint)(ids), usual, rtol=1e-5, atol=1e-5)


def test_weights_are_kept_to_half_a_step() -> None:
    weights = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    weights[2] = 0
    values, scales = quantise(weights)
    assert values.dtype == np.int8
    assert np.abs(values.T * scales[:, None] - weights).max() <= scales.max() / 2 + 1e-6


def test_it_is_made_once(tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint, ids = loaded(tmp_path), some_ids(9)
    with caplog.at_level(logging.INFO, logger="rdr_qdrant"):
        first, second = forward(checkpoint)(ids), forward(checkpoint)(ids)
    assert [record.message for record in caplog.records] == ["preparing the int8 encoder, once"]
    assert (first == second).all()
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("name", [int8.GRAPH, int8.CHECKSUM])
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_file_is_made_again(tmp_path: Path, cache: Path, name: str, damage: str) -> None:
    checkpoint, ids = loaded(tmp_path), some_ids(9)
    first = forward(checkpoint)(ids)
    (folder,) = cache.iterdir()
    content = (folder / name).read_bytes()
    if damage == "gone":
        (folder / name).unlink()
    else:
        changed = content[:-9] if damage == "cut" else bytes([content[0] ^ 255]) + content[1:]
        (folder / name).write_bytes(changed)
    assert (forward(checkpoint)(ids) == first).all()
    assert (folder / name).read_bytes() == content
    assert list(cache.iterdir()) == [folder]


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = loaded(tmp_path / "encoder")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be written to .*XDG_CACHE_HOME"):
        forward(checkpoint)


def test_another_model_is_refused() -> None:
    torch.manual_seed(0)
    config = DPRConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, hidden_act="relu"
    )
    with pytest.raises(ModelError, match=r"int8 knows only BERT .*'relu'.* Use fp32"):
        Int8Forward(CLASSES[Side.CONTEXT](config).eval(), "digest")


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'rdr-qdrant\[int8\]'"):
        forward(loaded(tmp_path))


def test_the_demo_pair_knows_its_own_collections(demo: RDREmbeddings) -> None:
    """A search in float32 of what was encoded in int8 is let through, and ranks almost alike."""
    eight = RDREmbeddings(model="demo", precision="int8")
    ours, theirs = eight.identity(), demo.identity()
    assert (ours.precision, theirs.precision) == ("int8", "fp32")
    check_identity("c", theirs.to_metadata(), ours, allow_unverified=False)
    check_identity("c", ours.to_metadata(), theirs, allow_unverified=False)


def test_int8_is_for_the_cpu() -> None:
    with pytest.raises(ModelError, match="int8 is for the CPU, but the device is cuda"):
        resolve_precision("int8", "cuda")
