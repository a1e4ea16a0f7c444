"""One encoder: inputs in, `[CLS]` vectors out, in the order of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdr_qdrant.encoding.batching import length_sorted_batches
from rdr_qdrant.encoding.checkpoint import Checkpoint, Side, load_checkpoint
from rdr_qdrant.encoding.tokens import EncoderInput, InputTokenizer
from rdr_qdrant.errors import ModelError

if TYPE_CHECKING:
    import torch

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

BATCH_TOKENS = 2048
"""Tokens of one batch, padding included."""

PAD_ID = 0


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

    Raises:
        ModelError: see `load_checkpoint`, or a `max_length` beyond the checkpoint's positions.
    """

    def __init__(self, side: Side, source: str, *, max_length: int, device: str) -> None:
        self.device = resolve_device(device)
        self._checkpoint: Checkpoint = load_checkpoint(side, source)
        self._model = self._checkpoint.model
        positions = self._model.config.max_position_embeddings
        if max_length > positions:
            raise ModelError(
                f"max_length is {max_length}, but {source} knows only {positions} positions. "
                f"Set max_length to {positions} or less."
            )
        self._digest = self._checkpoint.weights_digest() if side is Side.CONTEXT else ""
        self._tokenize = InputTokenizer(self._checkpoint.tokenizer, max_length)
        self._model.to(self.device)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: the projection where there is one, else the hidden size."""
        config = self._model.config
        return int(config.projection_dim or config.hidden_size)

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

    def _forward(self, ids: list[list[int]]) -> FloatArray:
        import torch

        longest = max(map(len, ids))
        padded = min(map(len, ids)) < longest
        input_ids = np.full((len(ids), longest), PAD_ID, dtype=np.int64)
        for row, sequence in enumerate(ids):
            input_ids[row, : len(sequence)] = sequence
        mask = None
        if padded:
            lengths = np.array([len(sequence) for sequence in ids])
            mask = self._tensor((np.arange(longest) < lengths[:, None]).astype(np.int64))
        with torch.inference_mode():
            output = self._model(
                input_ids=self._tensor(input_ids),
                attention_mask=mask,
                token_type_ids=torch.zeros(input_ids.shape, dtype=torch.int64, device=self.device),
            )
            vectors: FloatArray = output.pooler_output.float().cpu().numpy()
        return vectors

    def _tensor(self, array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> torch.Tensor:
        import torch

        return torch.from_numpy(array).to(self.device)
