"""The forward pass on a GPU that is there. It needs torch, transformers and pytest, nothing else:

python -m pytest --noconftest -c /dev/null --rootdir . tests/encoding/test_on_gpu.py
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.tokenizer import EncoderInput
from tests.checkpoints import WORDS, write_encoder

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0),
    reason="needs a GPU of compute capability 8.0 or more",
)

LARGEST_DIFFERENCE = {"fp16": 0.01, "bf16": 0.05, "fp32": 1e-4}
"""Of a vector to that of the CPU in fp32, relative to its length."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("checkpoint") / "context"
    return str(write_encoder(folder, Side.CONTEXT, hidden=256, layers=3, spread=0.2))


@pytest.fixture(scope="module")
def inputs() -> list[EncoderInput]:
    random = np.random.default_rng(0)
    words = np.array([word for word in WORDS if word.isascii()])
    texts = [" ".join(random.choice(words, size=n)) for n in random.integers(1, 90, size=1500)]
    return [(f"title {number}", text) for number, text in enumerate(texts)]


@pytest.fixture(scope="module")
def exact(folder: str, inputs: list[EncoderInput]) -> np.ndarray:
    encoder = Encoder(Side.CONTEXT, folder, max_length=128, device="cpu", precision="fp32")
    return encoder.encode(inputs).vectors


def differences(vectors: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors - exact, axis=1) / np.linalg.norm(exact, axis=1)


@pytest.mark.parametrize("precision", LARGEST_DIFFERENCE)
@pytest.mark.parametrize("batch_tokens", [None, 4096])
def test_the_vectors_are_those_of_the_cpu(
    folder: str,
    inputs: list[EncoderInput],
    exact: np.ndarray,
    precision: str,
    batch_tokens: int | None,
) -> None:
    encoder = Encoder(
        Side.CONTEXT,
        folder,
        max_length=128,
        device="cuda",
        precision=precision,
        batch_tokens=batch_tokens,
    )
    found = encoder.encode(inputs)
    assert differences(found.vectors, exact).max() < LARGEST_DIFFERENCE[precision]
    assert any(found.truncated)


def test_threads_get_their_own_vectors_however_batches_meet(
    folder: str, inputs: list[EncoderInput]
) -> None:
    encoder = Encoder(Side.CONTEXT, folder, max_length=128, device="cuda", batch_tokens=4096)
    alone = encoder.encode(inputs).vectors
    starts = [41 * n % 1000 for n in range(60)]
    with ThreadPoolExecutor(6) as pool:
        found = pool.map(lambda s: encoder.encode(inputs[s : s + 7 + s % 400]).vectors, starts)
    for start, vectors in zip(starts, found, strict=True):
        expected = alone[start : start + len(vectors)]
        assert differences(vectors, expected).max() < LARGEST_DIFFERENCE["fp16"]


def test_a_question_alone_has_the_vector_that_it_has_among_others(
    folder: str, inputs: list[EncoderInput], exact: np.ndarray
) -> None:
    encoder = Encoder(Side.CONTEXT, folder, max_length=128, device="cuda")
    found = np.concatenate([encoder.encode([one]).vectors for one in inputs[:40]])
    assert differences(found, exact[:40]).max() < LARGEST_DIFFERENCE["fp16"]


def test_a_batch_that_does_not_fit_is_halved(
    folder: str, inputs: list[EncoderInput], exact: np.ndarray
) -> None:
    encoder = Encoder(Side.CONTEXT, folder, max_length=128, device="cuda", precision="fp16")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 120 * 2**20) / total)
    try:
        found = encoder.encode(inputs)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert differences(found.vectors, exact).max() < LARGEST_DIFFERENCE["fp16"]
