"""How fast an encoder runs here, and how much of what this machine could do that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.encoding.device import dtype_of
from rdr_qdrant.encoding.encoder import Encoder
from rdr_qdrant.encoding.packed_linear import Linear
from rdr_qdrant.encoding.tokenizer import EncoderInput

MATRIX_SECONDS = 1.0
"""How long each way to multiply matrices is measured."""


@dataclass(frozen=True, slots=True)
class EncodingSpeed:
    """What was measured.

    Attributes:
        device, precision: where and in what it ran.
        passages: encoded, all in all.
        seconds: for them, tokenising included.
        tokens: of them, special tokens included, after cutting.
        operations: floating-point operations of their vectors: a multiplication and an addition
            are two, and of the last layer only what `[CLS]` takes is counted.
        matrix_speed: operations a second of this machine's fastest matrix multiplication of the
            encoder's shapes, in its precision (for int8: in fp32).
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
        """How long so many passages like these would take."""
        return passages / self.passages_per_second


def measure(encoder: Encoder, inputs: Sequence[EncoderInput], seconds: float) -> EncodingSpeed:
    """Encode the inputs, again and again, for about so many seconds, after one round to warm up.

    Args:
        encoder: ready to run.
        inputs: one round; no fewer than what a load has in a window, else batches are too small.
    """
    lengths = [len(ids) for ids in encoder.tokenize(inputs).ids]
    speed = matrix_speed(encoder.config, encoder.device, encoder.precision)
    list(encoder.batches(encoder.tokenize(inputs[: len(inputs) // 4 + 1])))
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
    """Floating-point operations that the vectors of sequences of these lengths take at least.

    Of the last layer that is what `[CLS]` takes: of other tokens only their parts in its scores
    and in the sum that they weigh.
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
    """Operations a second in the shapes of a model's feed-forward part, by the fastest way here."""
    import torch
    from torch import nn

    rows = 2048 if device == "cpu" else 32768
    hidden, inner = int(config.hidden_size), int(config.intermediate_size)
    options: dict[str, Any] = {"device": device, "dtype": dtype_of(precision)}
    with torch.inference_mode():
        up, down = nn.Linear(hidden, inner, **options), nn.Linear(inner, hidden, **options)
        packed_up, packed_down = Linear(up), Linear(down)
        x = torch.randn(rows, hidden, **options)
        ways: list[Callable[[], Any]] = [lambda: down(up(x)), lambda: packed_down(packed_up(x))]
        fastest = max(_times_a_second(way, device) for way in ways)
    return fastest * 4.0 * rows * hidden * inner


def _times_a_second(way: Callable[[], Any], device: str) -> float:
    import torch

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    way()
    wait()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < MATRIX_SECONDS:
        way()
        wait()
        done += 1
    return done / (time.perf_counter() - started)
