"""The encoders' forward pass: the library's own, or one that computes only what the vector needs.

Nothing but `[CLS]` of the last layer is ever read. So the last layer needs keys and values of all
tokens, but query, attention output and feed-forward of the first token alone; no token is padding;
and query, key and value are one matrix multiplication. The results are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Forward = Callable[[list[list[int]]], "torch.Tensor"]
"""Token ids of some inputs to their vectors, [n, dim]."""

FEED_FORWARD_ROWS = 512
"""Tokens that go through the feed-forward part at a time: its inner values then stay in cache."""


def make_forward(model: Any, device: str) -> Forward:
    """The fastest forward pass that is exact for this model on this device."""
    if device == "cpu" and CLSForward.fits(model.config):
        return CLSForward(model)
    return PlainForward(model, device)


class PlainForward:
    """The model's own forward pass on a padded batch.

    It is always given a mask: without one it would take a literal `[PAD]` in a text for padding.
    """

    def __init__(self, model: Any, device: str) -> None:
        self._model = model.to(device)
        self._device = device

    def __call__(self, ids: list[list[int]]) -> torch.Tensor:
        import torch

        lengths = torch.tensor([len(sequence) for sequence in ids])
        longest = int(lengths.max())
        input_ids = torch.tensor([s + [0] * (longest - len(s)) for s in ids]).to(self._device)
        mask = (torch.arange(longest) < lengths[:, None]).long().to(self._device)
        with torch.inference_mode():
            output = self._model(
                input_ids=input_ids,
                attention_mask=mask,
                token_type_ids=torch.zeros_like(input_ids),
            )
        vectors: torch.Tensor = output.pooler_output
        return vectors


@dataclass(frozen=True)
class _Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    @classmethod
    def of(cls, module: Any) -> _Norm:
        return cls(module.weight.detach(), module.bias.detach(), module.eps)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.epsilon)


@dataclass(frozen=True)
class _Linear:
    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, *modules: Any) -> _Linear:
        """One multiplication in place of several on the same input."""
        import torch

        weights = [module.weight.detach() for module in modules]
        biases = [module.bias.detach() for module in modules]
        if len(modules) == 1:
            return cls(weights[0], biases[0])
        return cls(torch.cat(weights), torch.cat(biases))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.linear(x, self.weight, self.bias)

    def outputs(self, start: int, stop: int | None = None) -> _Linear:
        """The same for some of the output numbers."""
        return _Linear(self.weight[start:stop], self.bias[start:stop])


@dataclass(frozen=True)
class _Layer:
    """One layer of BERT."""

    query_key_value: _Linear
    attention_output: _Linear
    attention_norm: _Norm
    inner: _Linear
    output: _Linear
    output_norm: _Norm

    @classmethod
    def of(cls, layer: Any) -> _Layer:
        attention = layer.attention
        return cls(
            _Linear.of(attention.self.query, attention.self.key, attention.self.value),
            _Linear.of(attention.output.dense),
            _Norm.of(attention.output.LayerNorm),
            _Linear.of(layer.intermediate.dense),
            _Linear.of(layer.output.dense),
            _Norm.of(layer.output.LayerNorm),
        )

    def after_attention(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Everything after attention, for some tokens: `x` [t, hidden] before the layer."""
        import torch
        from torch.nn import functional

        x = self.attention_norm(self.attention_output(attended).add_(x))
        rows = [
            self.output(functional.gelu(self.inner(part))).add_(part)
            for part in torch.split(x, FEED_FORWARD_ROWS)
        ]
        return self.output_norm(rows[0] if len(rows) == 1 else torch.cat(rows))


class CLSForward:
    """BERT as DPR uses it, on sequences laid end to end, for `[CLS]` alone. In inference only."""

    @staticmethod
    def fits(config: Any) -> bool:
        """Whether a model of this configuration is what is computed here."""
        return (
            config.hidden_act == "gelu"
            and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
            and not getattr(config, "is_decoder", False)
            and config.hidden_size % config.num_attention_heads == 0
        )

    def __init__(self, model: Any) -> None:
        encoder = getattr(model, model.base_model_prefix)
        bert, config = encoder.bert_model, model.config
        self._heads = config.num_attention_heads
        self._head_size = config.hidden_size // config.num_attention_heads
        embeddings = bert.embeddings
        self._words = embeddings.word_embeddings.weight.detach()
        # rule 2 of "What is exact": segment ids are zero, so the first segment is part of a place
        self._places = (
            embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        ).detach()
        self._norm = _Norm.of(embeddings.LayerNorm)
        self._layers = [_Layer.of(layer) for layer in bert.encoder.layer]
        self._projection = _Linear.of(encoder.encode_proj) if encoder.projection_dim else None

    def __call__(self, ids: list[list[int]]) -> torch.Tensor:
        import torch

        lengths = [len(sequence) for sequence in ids]
        with torch.inference_mode():
            x = self._embed(ids, lengths)
            for layer in self._layers[:-1]:
                attended = self._attend(layer.query_key_value(x), lengths)
                x = layer.after_attention(x, attended)
            x = self._last_layer(self._layers[-1], x, lengths)
            return x if self._projection is None else self._projection(x)

    def _embed(self, ids: list[list[int]], lengths: list[int]) -> torch.Tensor:
        import torch

        words = torch.tensor([token for sequence in ids for token in sequence])
        places = torch.cat([torch.arange(length) for length in lengths])
        return self._norm(self._words[words].add_(self._places[places]))

    def _attend(self, qkv: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Attention within each sequence: [t, 3 * hidden] to [t, hidden]."""
        from torch.nn import functional

        hidden = self._heads * self._head_size
        attended = qkv.new_empty(qkv.shape[0], hidden)
        for rows, count, length in _alike(lengths):
            parts = qkv[rows].view(count, length, 3, self._heads, self._head_size)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            found = functional.scaled_dot_product_attention(query, key, value)
            attended[rows] = found.transpose(1, 2).reshape(count * length, hidden)
        return attended

    def _last_layer(self, layer: _Layer, x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """The last layer for the first token of each sequence: [t, hidden] to [n, hidden]."""
        import torch
        from torch.nn import functional

        hidden = self._heads * self._head_size
        starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
        first = x[starts]
        queries = layer.query_key_value.outputs(0, hidden)(first)
        keys_values = layer.query_key_value.outputs(hidden)(x)
        attended = torch.empty_like(first)
        done = 0
        for rows, count, length in _alike(lengths):
            parts = keys_values[rows].view(count, length, 2, self._heads, self._head_size)
            key, value = parts.permute(2, 0, 3, 1, 4)
            query = queries[done : done + count].view(count, self._heads, 1, self._head_size)
            found = functional.scaled_dot_product_attention(query, key, value)
            attended[done : done + count] = found.reshape(count, hidden)
            done += count
        return layer.after_attention(first, attended)


def _alike(lengths: list[int]) -> Iterator[tuple[slice, int, int]]:
    """Runs of neighbours of one length: their rows, how many sequences, and the length."""
    start = 0
    for length, run in groupby(lengths):
        count = sum(1 for _ in run)
        yield slice(start, start + count * length), count, length
        start += count * length
