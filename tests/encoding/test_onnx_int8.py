"""int8 vectors are close to those of float32, and none depends on the rest of its batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DPRConfig

from rdr_qdrant import RDREmbeddings, embeddings
from rdr_qdrant.collection.compatibility import check_identity
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.checkpoint import Checkpoint, load_checkpoint
from rdr_qdrant.encoding.cls_forward import PaddedForward
from rdr_qdrant.encoding.device import resolve_precision
from rdr_qdrant.errors import ModelError
from tests.checkpoints import CLASSES, VOCABULARY, on_lists, write_encoder

pytest.importorskip("onnxruntime")

from rdr_qdrant.encoding import onnx_int8
from rdr_qdrant.encoding.onnx_int8 import Int8Forward, quantize_weights

PAD = VOCABULARY.index("[PAD]")


def loaded(folder: Path, side: Side = Side.CONTEXT, **shape: Any) -> Checkpoint:
    return load_checkpoint(side, str(write_encoder(folder, side, **shape)))


def encode(checkpoint: Checkpoint, ids: list[list[int]]) -> np.ndarray:
    return on_lists(Int8Forward(checkpoint.model))(ids)


def some_ids(*lengths: int) -> list[list[int]]:
    random = np.random.default_rng(0)
    return [[2, *random.integers(5, len(VOCABULARY), n - 2).tolist(), 3] for n in lengths]


def distance(checkpoint: Checkpoint, ids: list[list[int]]) -> float:
    """Return the largest relative distance to float32."""
    exact = on_lists(PaddedForward(checkpoint.model, "cpu"))(ids)
    found = encode(checkpoint, ids)
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    apart = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    return float(apart.max())


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("projection", [0, 24])
def test_vectors_are_close_to_those_of_float32(tmp_path: Path, side: Side, projection: int) -> None:
    """Vectors of these tiny random encoders move by up to 0.06; a mistake moves them by about 1."""
    checkpoint = loaded(tmp_path, side, layers=3, projection=projection)
    assert distance(checkpoint, some_ids(60, 41, 41, 7, 3)) < 0.1


def test_the_last_layer_is_exact(tmp_path: Path) -> None:
    ids = some_ids(60, 41, 41, 7, 2)
    ids[1][5:8] = [PAD] * 3  # a literal [PAD] in a text is attended
    assert distance(loaded(tmp_path, layers=1), ids) < 1e-5


def test_no_vector_depends_on_the_rest_of_its_batch(tmp_path: Path) -> None:
    run, ids = on_lists(Int8Forward(loaded(tmp_path, layers=3).model)), some_ids(50, 30, 30, 5)
    alone = np.concatenate([run([one]) for one in ids])
    np.testing.assert_allclose(run(ids), alone, rtol=1e-4, atol=1e-4)


def test_unsigned_weights_give_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, ids = loaded(tmp_path), some_ids(40, 12)
    usual = encode(checkpoint, ids)
    monkeypatch.setattr(onnx_int8, "_adds_without_overflow", lambda: False)
    np.testing.assert_allclose(encode(checkpoint, ids), usual, rtol=1e-5, atol=1e-5)


def test_weights_are_quantized_to_within_half_a_step() -> None:
    weights = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    weights[2] = 0
    values, scales = quantize_weights(weights)
    assert values.dtype == np.int8
    assert np.abs(values.T * scales[:, None] - weights).max() <= scales.max() / 2 + 1e-6


def test_an_unsupported_model_is_refused() -> None:
    torch.manual_seed(0)
    config = DPRConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, hidden_act="relu"
    )
    with pytest.raises(ModelError, match=r"int8 supports only BERT .*'relu'.* Use fp32"):
        Int8Forward(CLASSES[Side.CONTEXT](config).eval())


def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_int8, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'rdr-qdrant\[int8\]'"):
        Int8Forward(loaded(tmp_path).model)


def test_collections_of_int8_and_float32_are_compatible(demo: RDREmbeddings) -> None:
    """A collection encoded in int8 may be searched in float32, and vice versa."""
    eight = RDREmbeddings(model="demo", precision="int8")
    ours, theirs = eight.identity(), demo.identity()
    assert (ours.precision, theirs.precision) == ("int8", "fp32")
    check_identity("c", theirs.to_metadata(), ours, allow_unverified=False)
    check_identity("c", ours.to_metadata(), theirs, allow_unverified=False)


def test_questions_are_encoded_in_float32(demo: RDREmbeddings) -> None:
    eight = RDREmbeddings(model="demo", precision="int8")
    question = "Who saw the fox?"
    assert eight.embed_query(question) == demo.embed_query(question)
    assert eight.embed_documents([question]) != demo.embed_documents([question])
    assert eight.encoder(Side.QUESTION).precision == "fp32"


def test_int8_is_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="int8 is for the CPU, but the device is cuda"):
        resolve_precision("int8", "cuda")
    monkeypatch.setattr(embeddings, "resolve_device", lambda device: device)
    with pytest.raises(ModelError, match="int8 is for the CPU, but the device is cuda"):
        RDREmbeddings(model="demo", precision="int8", device="cuda").embed_query("who?")
