"""Attention on a batch of sequences concatenated without padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SequenceBounds:
    """First and last tokens of n concatenated sequences; made once for a batch.

    Attributes:
        offsets: int32 [n + 1] on the device, the first token of each sequence and the end of the
            last. The batch may have more tokens than that: it is padded at its end.
        lengths: number of tokens of each sequence; empty where the attention takes offsets alone.
        longest: the largest number of tokens.
    """

    offsets: torch.Tensor
    lengths: list[int]
    longest: int


class Attention(Protocol):
    """Scaled dot-product attention within each sequence of a concatenated batch.

    Tensors are [t, heads, head size]. The output for tokens beyond the last sequence is
    meaningless, but finite.
    """

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: SequenceBounds
    ) -> torch.Tensor:
        """Return the attention output of every token, [t, heads * head size]."""


def select_attention(device: str, dtype: torch.dtype) -> Attention | None:
    """Return the unpadded attention for a device and dtype, or `None` if there is none."""
    import torch

    if device == "cpu":
        return GroupedByLengthAttention()
    half = dtype in (torch.float16, torch.bfloat16)
    if device.startswith("cuda") and half and VarlenAttention.is_available(device):
        return VarlenAttention()
    return None


class GroupedByLengthAttention:
    """One dense attention call for each run of neighbouring sequences of equal length.

    Batches are sorted by length, so runs are long.
    """

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: SequenceBounds
    ) -> torch.Tensor:
        from torch.nn import functional

        tokens, heads, size = query.shape
        output = query.new_empty(tokens, heads * size)
        end = 0
        for start, end, count in _runs_of_equal_length(bounds.lengths):
            q, k, v = (
                tensor[start:end].view(count, -1, heads, size).transpose(1, 2)
                for tensor in (query, key, value)
            )
            attended = functional.scaled_dot_product_attention(q, k, v)
            output[start:end] = attended.transpose(1, 2).reshape(end - start, heads * size)
        output[end:] = 0.0  # uninitialised memory may hold denormals, which are slow
        return output


class VarlenAttention:
    """PyTorch's variable-length kernel: GPUs of compute capability 8.0 or more, fp16 and bf16."""

    @staticmethod
    def is_available(device: str) -> bool:
        """Return whether this torch has the kernel and this GPU runs it."""
        import torch

        try:
            from torch.nn.attention.varlen import varlen_attn  # noqa: F401
        except ImportError:
            return False
        return torch.cuda.get_device_capability(device) >= (8, 0)

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: SequenceBounds
    ) -> torch.Tensor:
        from torch.nn.attention.varlen import varlen_attn

        offsets, longest = bounds.offsets, bounds.longest
        output = varlen_attn(query, key, value, offsets, offsets, longest, longest)
        assert not isinstance(output, tuple)  # a tuple only where auxiliary outputs are requested
        return output.flatten(1)


def _runs_of_equal_length(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield, for each run, its first token, its end and the number of its sequences."""
    start = 0
    for length, run in groupby(lengths):
        count = sum(1 for _ in run)
        yield start, start + count * length, count
        start += count * length
