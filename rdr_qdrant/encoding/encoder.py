"""One encoder: inputs in, `[CLS]` vectors out, in the order of the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rdr_qdrant.encoding.batching import length_sorted_batches
from rdr_qdrant.encoding.checkpoint import Checkpoint, Side, load_checkpoint
from rdr_qdrant.encoding.cls_forward import FloatArray, Forward, make_forward
from rdr_qdrant.encoding.device import resolve_device, resolve_precision
from rdr_qdrant.encoding.tokenizer import EncoderInput, InputTokenizer, Tokens
from rdr_qdrant.errors import ModelError

BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
"""Tokens of one batch, padding included, by kind of device; on others as on the CPU."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of some inputs.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, not normalised.
        truncated: for each input whether it was cut to the most tokens that are read.
    """

    vectors: FloatArray
    truncated: list[bool]


@dataclass(frozen=True)
class EncodedBatch:
    """Vectors of some of the inputs.

    Attributes:
        positions: which of the inputs.
        vectors: float32 [len(positions), dim].
        truncated: for each of them whether it was cut.
    """

    positions: list[int]
    vectors: FloatArray
    truncated: list[bool]


class Encoder:
    """The context or the question encoder of a pair, ready to run.

    Args:
        side: which of the two; the class must be exactly this.
        source: folder or hub id of the checkpoint.
        max_length: most tokens of an input, special tokens included.
        device: `auto`, `cpu`, `cuda`, `mps` ...
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`.
        revision: branch, tag or commit, where `source` is a hub id.

    Attributes:
        device, precision: those in use, where `auto` was asked for.
        config: the checkpoint's own.

    Raises:
        ModelError: see `load_checkpoint`; a `max_length` beyond the checkpoint's positions; a
            device or precision that cannot be had here.
    """

    def __init__(
        self,
        side: Side,
        source: str,
        *,
        max_length: int,
        device: str,
        precision: str = "auto",
        revision: str | None = None,
    ) -> None:
        self._side, self._source = side, source
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        checkpoint = load_checkpoint(side, source, revision)
        self.config = checkpoint.model.config
        positions = self.config.max_position_embeddings
        if max_length > positions:
            raise ModelError(
                f"max_length is {max_length}, but {source} knows only {positions} positions. "
                f"Set max_length to {positions} or less."
            )
        needed = side is Side.CONTEXT or self.precision == "int8"
        self._digest = checkpoint.weights_digest() if needed else ""
        self._vocabulary = checkpoint.tokenizer
        self._tokenize = InputTokenizer(checkpoint.tokenizer, max_length)
        self._batch_tokens = BATCH_TOKENS.get(self.device.partition(":")[0], BATCH_TOKENS["cpu"])
        self._forward = self._make_forward(checkpoint)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: the projection where there is one, else the hidden size."""
        return int(self.config.projection_dim or self.config.hidden_size)

    def vocabulary(self) -> dict[str, int]:
        """Tokens and their ids."""
        return dict(self._vocabulary.get_vocab(with_added_tokens=True))

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights; empty for a question encoder, whose digest nothing needs."""
        return self._digest

    def encode(self, inputs: Sequence[EncoderInput]) -> Encoded:
        """The vectors of the inputs: `pooler_output`, float32, not normalised.

        Raises:
            ModelError: as `batches`.
        """
        tokens = self.tokenize(inputs)
        vectors = np.empty((len(inputs), self.dimension), dtype=np.float32)
        for batch in self.batches(tokens):
            vectors[batch.positions] = batch.vectors
        return Encoded(vectors, tokens.truncated)

    def tokenize(self, inputs: Sequence[EncoderInput]) -> Tokens:
        """The first half of `encode`: it needs no device and may run beside the second."""
        return self._tokenize(inputs)

    def batches(self, tokens: Tokens) -> Iterator[EncodedBatch]:
        """The second half of `encode`: the vectors, the longest inputs first, as they are ready.

        Raises:
            ModelError: there is no memory for a single input, or numbers beyond the precision.
        """
        for batch in length_sorted_batches([len(ids) for ids in tokens.ids], self._batch_tokens):
            vectors = self._forward_within_memory([tokens.ids[i] for i in batch])
            if not np.isfinite(vectors).all():
                raise ModelError(
                    f"The {self._side.value} {self._source} gave vectors that are not finite in "
                    f"{self.precision}: its numbers do not fit there. Use precision fp32 or bf16."
                )
            yield EncodedBatch(batch, vectors, [tokens.truncated[i] for i in batch])

    def _make_forward(self, checkpoint: Checkpoint) -> Forward:
        if self.precision == "int8":
            from rdr_qdrant.encoding.onnx_int8 import Int8Forward

            return Int8Forward(checkpoint.model, self._digest)
        return make_forward(checkpoint.model, self.device, self.precision)

    def _forward_within_memory(self, ids: list[list[int]]) -> FloatArray:
        """By halves where the device has no memory for all of them at once.

        Raises:
            ModelError: it has none for a single input.
        """
        import torch

        try:
            return self._forward(ids)
        except torch.OutOfMemoryError:
            if len(ids) == 1:
                raise ModelError(
                    f"{self.device} has no memory left for one input of {len(ids[0])} tokens. "
                    "End what else runs there, or use another device."
                ) from None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        half = len(ids) // 2
        parts = [self._forward_within_memory(part) for part in (ids[:half], ids[half:])]
        return np.concatenate(parts)
