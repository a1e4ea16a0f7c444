"""Attention within each of many sequences laid end to end, without padding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Attention(Protocol):
    """Scaled dot-product attention; every tensor is [tokens, heads, head size].

    There may be more tokens than the lengths add up to; what comes out for those means nothing.
    """

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        """For every token of every sequence, [t, heads * head size]."""


def attention_for(device: str, dtype: torch.dtype) -> Attention | None:
    """The way to do it on this device without padding, or `None` where there is none."""
    import torch

    if device == "cpu":
        return ByRuns()
    if device.startswith("cuda") and dtype in (torch.float16, torch.bfloat16):
        return VariableLength() if VariableLength.here(device) else None
    return None


class ByRuns:
    """Neighbours of one length at a time; batches come in order of length."""

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        from torch.nn import functional

        tokens, heads, size = query.shape
        attended = query.new_empty(tokens, heads * size)
        for rows, count, length in _runs(lengths):
            q, k, v = (
                one[rows].view(count, length, heads, size).transpose(1, 2)
                for one in (query, key, value)
            )
            found = functional.scaled_dot_product_attention(q, k, v)
            attended[rows] = found.transpose(1, 2).reshape(count * length, heads * size)
        attended[sum(lengths) :] = 0.0  # whatever lay there might be slow to reckon with
        return attended


class VariableLength:
    """By a kernel that takes sequences of any lengths end to end: on GPUs, in half precision."""

    @staticmethod
    def here(device: str) -> bool:
        """Whether torch has such a kernel, and this GPU runs it."""
        import torch

        try:
            from torch.nn.attention.varlen import varlen_attn  # noqa: F401
        except ImportError:
            return False
        return torch.cuda.get_device_capability(device) >= (8, 0)

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        import torch
        from torch.nn.attention.varlen import varlen_attn

        ends = torch.tensor([0, *lengths]).cumsum(0).to(device=query.device, dtype=torch.int32)
        longest = max(lengths)
        found = varlen_attn(query, key, value, ends, ends, longest, longest)
        assert not isinstance(found, tuple)  # nothing but the output was asked for
        return found.flatten(1)


def _runs(lengths: list[int]) -> Iterator[tuple[slice, int, int]]:
    """Runs of neighbours of one length: their rows, how many sequences, and the length."""
    start = 0
    for length, run in groupby(lengths):
        count = sum(1 for _ in run)
        yield slice(start, start + count * length), count, length
        start += count * length
