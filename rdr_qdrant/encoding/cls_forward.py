"""The forward pass: transformers' own, or one that computes only what `[CLS]` needs.

Of the last hidden states only `[CLS]` is read. So the last layer runs for that token alone,
sequences are concatenated instead of padded, and query, key and value are one matrix
multiplication. The vectors are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rdr_qdrant.encoding.attention import (
    Attention,
    SequenceBounds,
    VarlenAttention,
    select_attention,
)
from rdr_qdrant.encoding.batching import length_sorted_batches
from rdr_qdrant.encoding.checkpoint import Checkpoint
from rdr_qdrant.encoding.device import dtype_of
from rdr_qdrant.encoding.packed_linear import PackedLinear
from rdr_qdrant.encoding.residual_biases import move_residual_biases
from rdr_qdrant.encoding.token_ids import IntArray, TokenIds
from rdr_qdrant.encoding.transfer import Fetch, copy_to_device, start_copy_back
from rdr_qdrant.encoding.weights import BERT_MODEL, PROJECTION

if TYPE_CHECKING:
    import torch


CPU_ROW_MULTIPLE = 16
"""On a CPU the number of tokens is padded to a multiple of this: oneDNN takes milliseconds to
compile a kernel for a number of rows that it has not seen, so it should see few."""

FEED_FORWARD_ROWS = 512
"""Tokens per pass through the feed-forward part on a CPU, so that its activations stay in its
cache. On a GPU all tokens take one pass."""


class Forward(Protocol):
    """The forward pass of an encoder."""

    def batches(self, lengths: IntArray, max_tokens: int) -> Iterator[list[int]]:
        """Yield the positions of inputs of these lengths in batches, the longest inputs first."""
        return length_sorted_batches(lengths, max_tokens)

    def prepare(self, ids: TokenIds) -> Callable[[], Fetch]:
        """Do what can be done ahead, in any thread; return the function that starts the batch."""
        return partial(self, ids)

    def __call__(self, ids: TokenIds) -> Fetch:
        """Start the forward pass of a batch; return the function that waits for its vectors."""


def make_forward(checkpoint: Checkpoint, device: str, precision: str) -> Forward:
    """Return the fastest forward pass that supports this checkpoint, device and precision."""
    dtype = dtype_of(precision)
    attention = select_attention(device, dtype)
    if attention is None or not CLSForward.supports(checkpoint.config):
        return PaddedForward(checkpoint.model.to(device=device, dtype=dtype), device)
    forward = CLSForward(checkpoint, device, attention, dtype)
    if not isinstance(attention, VarlenAttention):
        return forward
    from rdr_qdrant.encoding.cuda_graphs import CudaRecorder, GraphedForward

    return GraphedForward(forward, device, CudaRecorder(device))


class PaddedForward(Forward):
    """Transformers' own forward pass on a padded batch.

    The attention mask is always passed: without one, transformers would mask a literal `[PAD]` in
    a text.
    """

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self._device = device

    def __call__(self, ids: TokenIds) -> Fetch:
        import torch

        input_ids, mask = (copy_to_device(array, self._device) for array in ids.padded())
        with torch.inference_mode():
            output = self._model(
                input_ids=input_ids,
                attention_mask=mask.long(),
                token_type_ids=torch.zeros_like(input_ids),
            )
            return start_copy_back(output.pooler_output.float())


@dataclass(frozen=True)
class BatchShape:
    """Sizes of a batch's tensors; the inputs may have fewer tokens, and be fewer and shorter.

    Attributes:
        tokens: number of tokens.
        inputs: number of inputs.
        longest: number of tokens of the longest input.
    """

    tokens: int
    inputs: int
    longest: int


def batch_array(ids: TokenIds, shape: BatchShape) -> IntArray:
    """Return the ids and offsets of a batch, int32 [tokens + inputs + 1].

    It is padded to its shape by tokens of no input and by empty inputs.
    """
    array = np.zeros(shape.tokens + shape.inputs + 1, dtype=np.int32)
    array[: len(ids.ids)] = ids.ids
    array[shape.tokens :] = len(ids.ids)
    array[shape.tokens : shape.tokens + len(ids)] = ids.offsets[:-1]
    return array


class CLSForward(Forward):
    """DPR's BERT on concatenated sequences, computing the `[CLS]` vector alone.

    A batch is copied to the device once; from then on nothing waits for the device.
    """

    @staticmethod
    def supports(config: Any) -> bool:
        """Return whether a model of this configuration computes what this class computes."""
        return (
            config.hidden_act == "gelu"
            and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
            and not getattr(config, "is_decoder", False)
            and config.hidden_size % config.num_attention_heads == 0
        )

    def __init__(
        self, checkpoint: Checkpoint, device: str, attention: Attention, dtype: torch.dtype
    ) -> None:
        config = checkpoint.config
        tensors = move_residual_biases(
            checkpoint.weights, f"{checkpoint.prefix}{BERT_MODEL}", config.num_hidden_layers
        )
        weights = _Weights(tensors, checkpoint.prefix, device, dtype)
        bert = weights.below(BERT_MODEL)
        heads, epsilon = config.num_attention_heads, config.layer_norm_eps
        self._device = device
        self._row_multiple = CPU_ROW_MULTIPLE if device == "cpu" else 1
        rows = FEED_FORWARD_ROWS if device == "cpu" else None
        self._embeddings = _Embeddings(bert.below("embeddings."), epsilon)
        *layers, last = (
            bert.below(f"encoder.layer.{number}.") for number in range(config.num_hidden_layers)
        )
        self._layers = [_Layer(layer, heads, attention, epsilon, rows) for layer in layers]
        self._last_layer = _LastLayer(last, heads, epsilon, rows)
        self._projection = weights.linear(PROJECTION) if config.projection_dim else None

    def __call__(self, ids: TokenIds) -> Fetch:
        tokens = len(ids.ids) + -len(ids.ids) % self._row_multiple
        shape = BatchShape(tokens, len(ids), int(ids.lengths.max()))
        array = copy_to_device(batch_array(ids, shape), self._device)
        return start_copy_back(self.vectors(array, shape, ids.lengths.tolist()))

    def vectors(self, array: torch.Tensor, shape: BatchShape, lengths: list[int]) -> torch.Tensor:
        """Return float32 vectors [inputs, dim]; those of empty inputs are meaningless.

        Args:
            array: on the device, see `batch_array`.
            shape: its shape.
            lengths: see `SequenceBounds`.
        """
        import torch

        with torch.inference_mode():
            tokens, offsets = torch.split(array, [shape.tokens, shape.inputs + 1])
            bounds = SequenceBounds(offsets, lengths, shape.longest)
            x = self._embeddings(tokens, bounds)
            for layer in self._layers:
                x = layer(x, bounds)
            x = self._last_layer(x, bounds)
            return (x if self._projection is None else self._projection(x)).float()


class _Weights:
    """Copies of the weights whose names begin with a prefix, on the device.

    Args:
        tensors: all weights of the checkpoint.
        prefix: which of them; left out of the names below.
        device: where they go.
        dtype: what they become.
    """

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], prefix: str, device: str, dtype: torch.dtype
    ) -> None:
        self._tensors, self._prefix = tensors, prefix
        self._device, self._dtype = device, dtype

    def below(self, prefix: str) -> _Weights:
        return _Weights(self._tensors, self._prefix + prefix, self._device, self._dtype)

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor = self._tensors[self._prefix + name].detach()
        return tensor.to(device=self._device, dtype=self._dtype, copy=True)

    def linear(self, *prefixes: str) -> PackedLinear:
        return PackedLinear(*((self[f"{one}weight"], self[f"{one}bias"]) for one in prefixes))

    def residual_linear(self, prefix: str) -> PackedLinear:
        """Return a linear layer whose bias the residual has, see `move_residual_biases`."""
        return PackedLinear((self[f"{prefix}weight"], None))


class _Embeddings:
    """Token ids [t] to hidden states [t, hidden]."""

    def __init__(self, weights: _Weights, epsilon: float) -> None:
        self._tokens = weights["word_embeddings.weight"]
        # segment ids are all zero (rule 2 of docs/encoding.md), so their embedding is a constant
        segment = weights["token_type_embeddings.weight"][0]
        self._positions = weights["position_embeddings.weight"] + segment
        self._layer_norm = _LayerNorm(weights.below("LayerNorm."), epsilon)

    def __call__(self, tokens: torch.Tensor, bounds: SequenceBounds) -> torch.Tensor:
        import torch
        from torch.nn.functional import embedding

        rows = torch.arange(len(tokens), dtype=torch.int32, device=tokens.device)
        sequences = torch.searchsorted(bounds.offsets, rows, right=True).sub_(1)
        positions = rows - bounds.offsets[sequences]
        positions.clamp_(max=len(self._positions) - 1)  # tokens of no input have any
        x = embedding(tokens, self._tokens).add_(embedding(positions, self._positions))
        return self._layer_norm(x)


class _Layer:
    """One transformer layer, [t, hidden] to [t, hidden]."""

    def __init__(
        self,
        weights: _Weights,
        heads: int,
        attention: Attention,
        epsilon: float,
        rows: int | None,
    ) -> None:
        self._query_key_value = weights.below("attention.self.").linear("query.", "key.", "value.")
        self._heads = heads
        self._attention = attention
        self._after_attention = _AfterAttention(weights, epsilon, rows)

    def __call__(self, x: torch.Tensor, bounds: SequenceBounds) -> torch.Tensor:
        query, key, value = self._query_key_value(x).view(len(x), 3, self._heads, -1).unbind(1)
        return self._after_attention(x, self._attention(query, key, value, bounds))


class _LastLayer:
    """The last layer for the first token of each sequence, [t, hidden] to [n, hidden].

    Keys and values of the other tokens are never computed. A score `q . (W_k h)` equals
    `(W_k^T q) . h`, so the query is projected into the space of the hidden states (the key's bias
    adds the same to every score of a sequence, which softmax cancels). Likewise the weighted sum of
    values is the value projection of the weighted sum of hidden states.
    """

    def __init__(self, weights: _Weights, heads: int, epsilon: float, rows: int | None) -> None:
        projections = weights.below("attention.self.")
        self._query = projections.linear("query.")
        key, value = projections["key.weight"], projections["value.weight"]
        self._key, self._value = (one.view(heads, -1, one.shape[1]) for one in (key, value))
        self._value_bias = projections["value.bias"]
        self._heads = heads
        self._after_attention = _AfterAttention(weights, epsilon, rows)

    def __call__(self, x: torch.Tensor, bounds: SequenceBounds) -> torch.Tensor:
        import torch

        starts, ends = bounds.offsets[:-1, None], bounds.offsets[1:, None]
        rows = starts + torch.arange(bounds.longest, dtype=torch.int32, device=x.device)
        padding = rows >= ends
        # a row of its own instead of another's: times a weight of 0 even that must be finite
        states = torch.nn.functional.embedding(torch.minimum(rows, ends - 1).clamp_(min=0), x)
        first = states[:, 0].clone()
        query = self._query(first).view(len(first), self._heads, -1)
        projected = torch.einsum("nhs,hsd->nhd", query, self._key)
        scores = projected @ states.transpose(1, 2) / query.shape[-1] ** 0.5
        weights = scores.masked_fill_(padding[:, None], float("-inf")).softmax(-1)
        attended = torch.einsum("nhd,hsd->nhs", weights @ states, self._value).flatten(1)
        return self._after_attention(first, attended + self._value_bias)


class _AfterAttention:
    """The rest of a layer after attention: output projection and feed-forward, [t, hidden].

    Args:
        weights: of the layer.
        epsilon: of its layer normalisations.
        rows: tokens per pass through the feed-forward part; `None` is all of them.
    """

    def __init__(self, weights: _Weights, epsilon: float, rows: int | None) -> None:
        self._rows = rows
        self._attention_output = weights.residual_linear("attention.output.dense.")
        self._attention_norm = _LayerNorm(weights.below("attention.output.LayerNorm."), epsilon)
        self._intermediate = weights.linear("intermediate.dense.")
        self._output = weights.residual_linear("output.dense.")
        self._output_norm = _LayerNorm(weights.below("output.LayerNorm."), epsilon)

    def __call__(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        import torch

        x = self._attention_norm(self._attention_output.add_to(x, attended))
        if self._rows is None or len(x) <= self._rows:
            x = self._feed_forward(x)
        else:
            x = torch.cat([self._feed_forward(chunk) for chunk in torch.split(x, self._rows)])
        return self._output_norm(x)

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._output.add_to(x, self._intermediate(x, "gelu"))


class _LayerNorm:
    def __init__(self, weights: _Weights, epsilon: float) -> None:
        self._weight, self._bias = weights["weight"], weights["bias"]
        self._epsilon = epsilon

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.layer_norm(x, x.shape[-1:], self._weight, self._bias, self._epsilon)
