"""The encoders' forward pass: the library's own, or one that computes only what the vector needs.

Nothing but `[CLS]` of the last layer is ever read. So the last layer is done for the first token
alone; no token is padding; and query, key and value are one matrix multiplication. The results are
the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rdr_qdrant.encoding.attention import Attention, attention_for
from rdr_qdrant.encoding.device import dtype_of
from rdr_qdrant.encoding.packed_linear import Linear

if TYPE_CHECKING:
    import torch

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Forward = Callable[[list[list[int]]], FloatArray]
"""Token ids of some inputs to their vectors, float32 [n, dim]."""

CPU_ROWS = 16
"""On a CPU the number of tokens is rounded up to a multiple of this. oneDNN takes milliseconds to
prepare for a number of rows that it meets the first time, and so meets few; what is added is never
looked at."""

FEED_FORWARD_ROWS = 512
"""Tokens that go through the feed-forward part at a time: its inner values then stay in cache."""


def make_forward(model: Any, device: str, precision: str) -> Forward:
    """The fastest forward pass that is right for this model, on this device, in this precision."""
    dtype = dtype_of(precision)
    model = model.to(device=device, dtype=dtype)
    attention = attention_for(device, dtype)
    if attention is not None and CLSForward.fits(model.config):
        return CLSForward(model, device, attention)
    return PlainForward(model, device)


class PlainForward:
    """The model's own forward pass on a padded batch.

    It is always given a mask: without one it would take a literal `[PAD]` in a text for padding.
    """

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self._device = device

    def __call__(self, ids: list[list[int]]) -> FloatArray:
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
            return _as_array(output.pooler_output)


class CLSForward:
    """BERT as DPR uses it, on sequences laid end to end, for `[CLS]` alone."""

    @staticmethod
    def fits(config: Any) -> bool:
        """Whether a model of this configuration is what is computed here."""
        return (
            config.hidden_act == "gelu"
            and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
            and not getattr(config, "is_decoder", False)
            and config.hidden_size % config.num_attention_heads == 0
        )

    def __init__(self, model: Any, device: str, attention: Attention) -> None:
        encoder = getattr(model, model.base_model_prefix)
        bert, config = encoder.bert_model, model.config
        self._device = device
        self._rows = CPU_ROWS if device == "cpu" else 1
        self._embeddings = _Embeddings(bert.embeddings)
        *layers, last = bert.encoder.layer
        heads = config.num_attention_heads
        self._layers = [_Layer(layer, heads, attention) for layer in layers]
        self._last = _LastLayer(last, heads)
        self._projection = Linear(encoder.encode_proj) if encoder.projection_dim else None

    def __call__(self, ids: list[list[int]]) -> FloatArray:
        import torch

        lengths = [len(sequence) for sequence in ids]
        with torch.inference_mode():
            spare = [0] * (-sum(lengths) % self._rows)
            words = torch.tensor([token for sequence in (*ids, spare) for token in sequence])
            places = torch.cat([torch.arange(length) for length in (*lengths, len(spare))])
            x = self._embeddings(words.to(self._device), places.to(self._device))
            for layer in self._layers:
                x = layer(x, lengths)
            x = self._last(x, lengths)
            return _as_array(x if self._projection is None else self._projection(x))


class _Embeddings:
    """Token ids and places, both [t], to [t, hidden]."""

    def __init__(self, embeddings: Any) -> None:
        self._words = embeddings.word_embeddings.weight.detach()
        # rule 2 of "What is exact": segment ids are zero, so the first segment is part of a place
        self._places = (
            embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        ).detach()
        self._norm = _Norm(embeddings.LayerNorm)

    def __call__(self, words: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return self._norm(self._words[words].add_(self._places[places]))


class _Layer:
    """One layer: [t, hidden] to [t, hidden]."""

    def __init__(self, layer: Any, heads: int, attention: Attention) -> None:
        own = layer.attention.self
        self._query_key_value = Linear(own.query, own.key, own.value)
        self._heads = heads
        self._attention = attention
        self._after = _AfterAttention(layer)

    def __call__(self, x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        query, key, value = self._query_key_value(x).view(len(x), 3, self._heads, -1).unbind(1)
        return self._after(x, self._attention(query, key, value, lengths))


class _LastLayer:
    """The last layer for the first token of each sequence: [t, hidden] to [n, hidden].

    Keys and values of the other tokens are never made. A score is a query times a key, which is the
    query through the key's weight, turned around, times the hidden state (the key's bias adds the
    same to every score of a sequence, which softmax takes away again); and the sum of weighted
    values is the value of the sum of weighted hidden states.
    """

    def __init__(self, layer: Any, heads: int) -> None:
        own = layer.attention.self
        self._query = Linear(own.query)
        hidden = own.key.in_features
        self._key = own.key.weight.detach().view(heads, -1, hidden)
        self._value = own.value.weight.detach().view(heads, -1, hidden)
        self._value_bias = own.value.bias.detach()
        self._heads = heads
        self._after = _AfterAttention(layer)

    def __call__(self, x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        import torch

        places = torch.arange(max(lengths))
        sizes = torch.tensor(lengths)
        starts = sizes.cumsum(0) - sizes
        padding = (places >= sizes[:, None]).to(x.device)
        states = x[(starts[:, None] + places).clamp_(max=len(x) - 1).to(x.device)]
        first = states[:, 0]
        query = self._query(first).view(len(first), self._heads, -1)
        turned = torch.einsum("nhs,hsd->nhd", query, self._key)
        scores = turned @ states.transpose(1, 2) / query.shape[-1] ** 0.5
        weights = scores.masked_fill_(padding[:, None], float("-inf")).softmax(-1)
        attended = torch.einsum("nhd,hsd->nhs", weights @ states, self._value).flatten(1)
        return self._after(first, attended + self._value_bias)


class _AfterAttention:
    """What a layer does with each token by itself, [t, hidden], after attention."""

    def __init__(self, layer: Any) -> None:
        self._attention_output = Linear(layer.attention.output.dense)
        self._attention_norm = _Norm(layer.attention.output.LayerNorm)
        self._inner = Linear(layer.intermediate.dense)
        self._output = Linear(layer.output.dense)
        self._output_norm = _Norm(layer.output.LayerNorm)

    def __call__(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        import torch

        x = self._attention_norm(self._attention_output.plus(attended, x))
        rows = [
            self._output.plus(self._inner(part, "gelu"), part)
            for part in torch.split(x, FEED_FORWARD_ROWS)
        ]
        return self._output_norm(rows[0] if len(rows) == 1 else torch.cat(rows))


class _Norm:
    """Layer normalisation."""

    def __init__(self, module: Any) -> None:
        self._weight = module.weight.detach()
        self._bias = module.bias.detach()
        self._epsilon = module.eps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.layer_norm(x, x.shape[-1:], self._weight, self._bias, self._epsilon)


def _as_array(vectors: torch.Tensor) -> FloatArray:
    array: FloatArray = vectors.float().cpu().numpy()
    return array
