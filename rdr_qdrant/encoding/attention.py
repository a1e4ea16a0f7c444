"""Attention within each of many sequences laid end to end, without padding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Attention(Protocol):
    """Scaled dot-product attention; every tensor is [tokens, heads, head size]."""

    def of_all(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        """For every token of every sequence, [t, heads * head size]."""

    def of_first(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        """For the first token of each sequence alone: `query` is [n, ...]; [n, hidden]."""


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

    def of_all(
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
        return attended

    def of_first(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        from torch.nn import functional

        sequences, heads, size = query.shape
        attended = query.new_empty(sequences, heads * size)
        done = 0
        for rows, count, length in _runs(lengths):
            mine = slice(done, done + count)
            k, v = (
                one[rows].view(count, length, heads, size).transpose(1, 2) for one in (key, value)
            )
            found = functional.scaled_dot_product_attention(query[mine].unsqueeze(2), k, v)
            attended[mine] = found.reshape(count, heads * size)
            done += count
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

    def of_all(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        ends = _ends(lengths, query.device)
        return self._run(query, key, value, ends, ends, max(lengths), max(lengths))

    def of_first(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        one_each = _ends([1] * len(lengths), query.device)
        return self._run(query, key, value, one_each, _ends(lengths, key.device), 1, max(lengths))

    def _run(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        query_ends: torch.Tensor,
        key_ends: torch.Tensor,
        longest_query: int,
        longest_key: int,
    ) -> torch.Tensor:
        from torch.nn.attention.varlen import varlen_attn

        found = varlen_attn(query, key, value, query_ends, key_ends, longest_query, longest_key)
        assert not isinstance(found, tuple)  # nothing but the output was asked for
        return found.flatten(1)


def _ends(lengths: list[int], device: torch.device) -> torch.Tensor:
    import torch

    return torch.tensor([0, *lengths]).cumsum(0).to(device=device, dtype=torch.int32)


def _runs(lengths: list[int]) -> Iterator[tuple[slice, int, int]]:
    """Runs of neighbours of one length: their rows, how many sequences, and the length."""
    start = 0
    for length, run in groupby(lengths):
        count = sum(1 for _ in run)
        yield slice(start, start + count * length), count, length
        start += count * length
