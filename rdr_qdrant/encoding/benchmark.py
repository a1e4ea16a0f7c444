"""Measuring an encoder's speed, absolutely and against this machine's matrix multiplication."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.encoding.device import dtype_of
from rdr_qdrant.encoding.encoder import Encoder
from rdr_qdrant.encoding.packed_linear import PackedLinear
from rdr_qdrant.encoding.tokenizer import EncoderInput

MATRIX_SECONDS = 1.0
"""Duration of the measurement of each kind of matrix multiplication."""


@dataclass(frozen=True, slots=True)
class EncodingSpeed:
    """Result of `measure`.

    Attributes:
        device: device that the encoder ran on.
        precision: precision that it ran in.
        passages: number of passages encoded.
        seconds: time taken, tokenization included.
        tokens: number of tokens encoded, special tokens included, after truncation.
        operations: floating-point operations, see `operations`.
        matrix_speed: floating-point operations per second of this machine's fastest matrix
            multiplication, see `matrix_speed`.
    """

    device: str
    precision: str
    passages: int
    seconds: float
    tokens: int
    operations: float
    matrix_speed: float

    @property
    def passages_per_second(self) -> float:
        return self.passages / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def fraction_of_matrix_speed(self) -> float:
        return self.operations / self.seconds / self.matrix_speed

    def seconds_for(self, passages: int) -> float:
        """Return the estimated time for this many passages of the same length."""
        return passages / self.passages_per_second


def measure(encoder: Encoder, inputs: Sequence[EncoderInput], seconds: float) -> EncodingSpeed:
    """Encode the inputs repeatedly for about `seconds`, after a warm-up.

    Args:
        encoder: the encoder to measure.
        inputs: the inputs of one round, at least as many as an ingest encodes at a time, so that
            batches are as full.
        seconds: duration; at least one round runs.
    """
    lengths = encoder.tokenize(inputs).result().ids.lengths.tolist()
    speed = matrix_speed(encoder.config, encoder.device, encoder.precision)
    list(encoder.encode_batches(encoder.tokenize(inputs[: len(inputs) // 4 + 1]).result()))
    rounds, started = 0, time.perf_counter()
    while rounds == 0 or time.perf_counter() - started < seconds:
        encoder.encode(inputs)
        rounds += 1
    return EncodingSpeed(
        device=encoder.device,
        precision=encoder.precision,
        passages=rounds * len(inputs),
        seconds=time.perf_counter() - started,
        tokens=rounds * sum(lengths),
        operations=rounds * operations(encoder.config, lengths),
        matrix_speed=speed,
    )


def operations(config: Any, lengths: Sequence[int]) -> float:
    """Return the floating-point operations needed to encode sequences of these lengths.

    A multiply-add counts as two. Of the last layer only what `[CLS]` needs is counted: all of it
    for that token, and for the others their terms in the attention scores and the weighted sum.
    """
    hidden, inner = int(config.hidden_size), int(config.intermediate_size)
    heads = int(config.num_attention_heads)
    one_token = 4 * hidden * hidden + 2 * hidden * inner
    total = 0.0
    for tokens in lengths:
        layer = tokens * one_token + 2 * tokens * tokens * hidden
        last = one_token + 2 * tokens * heads * hidden
        total += 2 * (
            (config.num_hidden_layers - 1) * layer + last + hidden * config.projection_dim
        )
    return total


def matrix_speed(config: Any, device: str, precision: str) -> float:
    """Return the floating-point operations per second of the fastest matrix multiplication here.

    Measured on the shapes of the model's feed-forward layers, in its precision (for int8: fp32).
    """
    import torch
    from torch import nn

    rows = 2048 if device == "cpu" else 32768
    hidden, inner = int(config.hidden_size), int(config.intermediate_size)
    options: dict[str, Any] = {"device": device, "dtype": dtype_of(precision)}
    with torch.inference_mode():
        up, down = nn.Linear(hidden, inner, **options), nn.Linear(inner, hidden, **options)
        packed_up, packed_down = (PackedLinear((one.weight, one.bias)) for one in (up, down))
        x = torch.randn(rows, hidden, **options)
        fastest = max(
            _calls_per_second(lambda: down(up(x)), device),
            _calls_per_second(lambda: packed_down(packed_up(x)), device),
        )
    return fastest * 4.0 * rows * hidden * inner


def _calls_per_second(function: Callable[[], Any], device: str) -> float:
    import torch

    def call() -> None:
        function()
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    call()
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < MATRIX_SECONDS:
        call()
        calls += 1
    return calls / (time.perf_counter() - started)
