"""One encoder: inputs in, `[CLS]` vectors out, in the order of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdr_qdrant.encoding.batching import length_sorted_batches
from rdr_qdrant.encoding.checkpoint import Side, load_checkpoint
from rdr_qdrant.encoding.forward import make_forward
from rdr_qdrant.encoding.tokens import EncoderInput, InputTokenizer
from rdr_qdrant.errors import ModelError

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

BATCH_TOKENS = 2048
"""Tokens of one batch, padding included."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of some inputs.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, not normalised.
        truncated: for each input whether it was cut to the most tokens that are read.
    """

    vectors: FloatArray
    truncated: list[bool]


def resolve_device(device: str) -> str:
    """`auto` is cuda, else mps, else cpu; anything else is torch's own name of a device.

    Raises:
        ModelError: a device that torch does not know or that this machine has not.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"The device {device!r} cannot be used here ({reason}). Try auto, cpu, cuda or mps."
        ) from None
    return device


class Encoder:
    """The context or the question encoder of a pair, ready to run.

    Args:
        side: which of the two; the class must be exactly this.
        source: folder or hub id of the checkpoint.
        max_length: most tokens of an input, special tokens included.
        device: `auto`, `cpu`, `cuda`, `mps` ...
        revision: branch, tag or commit, where `source` is a hub id.

    Raises:
        ModelError: see `load_checkpoint`, or a `max_length` beyond the checkpoint's positions.
    """

    def __init__(
        self,
        side: Side,
        source: str,
        *,
        max_length: int,
        device: str,
        revision: str | None = None,
    ) -> None:
        self.device = resolve_device(device)
        checkpoint = load_checkpoint(side, source, revision)
        self._config = checkpoint.model.config
        positions = self._config.max_position_embeddings
        if max_length > positions:
            raise ModelError(
                f"max_length is {max_length}, but {source} knows only {positions} positions. "
                f"Set max_length to {positions} or less."
            )
        self._digest = checkpoint.weights_digest() if side is Side.CONTEXT else ""
        self._vocabulary = checkpoint.tokenizer
        self._tokenize = InputTokenizer(checkpoint.tokenizer, max_length)
        self._forward = make_forward(checkpoint.model, self.device)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: the projection where there is one, else the hidden size."""
        return int(self._config.projection_dim or self._config.hidden_size)

    def vocabulary(self) -> dict[str, int]:
        """Tokens and their ids."""
        return dict(self._vocabulary.get_vocab(with_added_tokens=True))

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights; empty for a question encoder, whose digest nothing needs."""
        return self._digest

    def encode(self, inputs: Sequence[EncoderInput]) -> Encoded:
        """The vectors of the inputs: `pooler_output`, float32, not normalised."""
        tokens = self._tokenize(inputs)
        vectors = np.empty((len(inputs), self.dimension), dtype=np.float32)
        for batch in length_sorted_batches([len(ids) for ids in tokens.ids], BATCH_TOKENS):
            vectors[batch] = self._forward_within_memory([tokens.ids[i] for i in batch])
        return Encoded(vectors, tokens.truncated)

    def _forward_within_memory(self, ids: list[list[int]]) -> FloatArray:
        """By halves where the device has no memory for all of them at once.

        Raises:
            ModelError: it has none for a single input.
        """
        import torch

        try:
            return self._forward(ids).float().cpu().numpy()
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
