"""The graph that ONNX Runtime runs for an int8 encoder, made from the weights themselves.

As `CLSForward`: no token is padding but where attention needs it, and of the last layer only
`[CLS]` is computed, in float32. In all other layers the matrix multiplications are of 8-bit
integers: weights with one scale for each output number, activations with one for each token, so
that no vector depends on what else is in its batch. Everything between them is float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

OPSET = 24
"""Of ONNX: the first whose attention takes the lengths of padded sequences."""

IR_VERSION = 10

CONTRIB = "com.microsoft"
"""ONNX Runtime's own operators; of them only `MatMulIntegerToFloat` is used."""

MIDDLE = 128
"""The zero of an 8-bit activation of either sign."""

GELU_LEAST = -0.17
"""GELU is never below: what comes after it is rounded to 8 bits from here upwards."""

EVENNESS = 0.5
"""How far channels are evened out in the activations at the cost of the weights: SmoothQuant's
alpha (Xiao et al. 2023, eq. 4)."""

TRIAL_SHAPE = 8, 64
"""Sequences and tokens of the trial that finds how large the numbers of each channel become."""

SMALLEST = 1e-5
"""Taken for the largest number of a channel where that is smaller."""


def quantise(weight: Array) -> tuple[Array, Array]:
    """Weights [out, in] as int8 [in, out], and the float32 scale of each output number."""
    largest = np.abs(weight).max(axis=1)
    scales = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(127)
    return np.ascontiguousarray(np.rint(weight / scales[:, None]).astype(np.int8).T), scales


def input_ranges(model: Any) -> dict[Any, tuple[Array, Array]]:
    """For each of the model's linear modules the least and the largest of each input number, [in].

    The inputs are random tokens: which channels are large is the model's own trait.
    """
    import torch

    found: dict[Any, tuple[Array, Array]] = {}

    def note(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        rows = inputs[0].reshape(-1, module.in_features)
        found[module] = rows.amin(0).numpy(), rows.amax(0).numpy()

    shape = TRIAL_SHAPE[0], min(TRIAL_SHAPE[1], model.config.max_position_embeddings)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, shape, generator=generator)
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    hooks = [module.register_forward_pre_hook(note) for module in linears]
    try:
        with torch.inference_mode():
            model(ids, attention_mask=torch.ones_like(ids), token_type_ids=torch.zeros_like(ids))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def int8_graph(model: Any, *, unsigned: bool) -> Any:
    """The encoder as an `onnx.ModelProto`.

    Inputs: `ids` and `places` int64 [tokens], of sequences laid end to end; `rows` int64
    [n, longest], the token at each place of the padded batch; `real` int64 [tokens], the place of
    each token there; `lengths` int64 [n]. Output: `vectors` float32 [n, dim].

    Args:
        model: a DPR encoder that `CLSForward.fits`.
        unsigned: weights are stored as uint8 around 128: the same numbers, for processors that
            cannot add products of uint8 and int8 without overflow.
    """
    return _Builder(model, unsigned).build()


def _array(tensor: Any) -> Array:
    found: Array = tensor.detach().float().cpu().numpy()
    return found


class _Builder:
    def __init__(self, model: Any, unsigned: bool) -> None:
        from onnx import ModelProto, helper

        self._dpr = getattr(model, model.base_model_prefix)
        self._heads = model.config.num_attention_heads
        self._hidden = model.config.hidden_size
        self._ranges = input_ranges(model)
        self._unsigned = unsigned
        self._names = 0
        self._model = ModelProto(ir_version=IR_VERSION, producer_name="rdr-qdrant")
        self._model.opset_import.extend(
            [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        )
        self._graph = self._model.graph
        self._graph.name = "dpr"

    def build(self) -> Any:
        from onnx import TensorProto, helper

        for name, shape in (
            ("ids", ["tokens"]),
            ("places", ["tokens"]),
            ("rows", ["n", "longest"]),
            ("real", ["tokens"]),
            ("lengths", ["n"]),
        ):
            self._graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        tokens = self._op("Shape", "ids")
        self._middle = self._op("Expand", self._const(np.uint8(MIDDLE)), tokens)
        bert = self._dpr.bert_model
        x = self._embed(bert.embeddings)
        for layer in bert.encoder.layer[:-1]:
            x = self._layer(layer, x)
        x = self._last_layer(bert.encoder.layer[-1], x)
        if self._dpr.projection_dim:
            x = self._linear(x, self._dpr.encode_proj)
        self._graph.node.append(helper.make_node("Identity", [x], ["vectors"]))
        self._graph.output.append(
            helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", "dim"])
        )
        return self._model

    def _op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One more operation with one output, whose name is returned."""
        from onnx import helper

        name = self._new_name()
        self._graph.node.append(
            helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes)
        )
        return name

    def _const(self, value: Any) -> str:
        from onnx import numpy_helper

        name = self._new_name()
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _new_name(self) -> str:
        self._names += 1
        return str(self._names)

    def _shape(self, *sizes: int) -> str:
        return self._const(np.array(sizes, dtype=np.int64))

    def _embed(self, embeddings: Any) -> str:
        # rule 2 of "What is exact": segment ids are zero, so the first segment is part of a place
        segment = _array(embeddings.token_type_embeddings.weight)[0]
        words = self._const(_array(embeddings.word_embeddings.weight))
        places = self._const(_array(embeddings.position_embeddings.weight) + segment)
        return self._add_and_norm(
            self._op("Gather", words, "ids"),
            self._op("Gather", places, "places"),
            embeddings.LayerNorm,
        )

    def _add_and_norm(self, x: str, y: str, norm: Any) -> str:
        total, weight = self._op("Add", x, y), self._const(_array(norm.weight))
        return self._op(
            "LayerNormalization", total, weight, self._const(_array(norm.bias)), epsilon=norm.eps
        )

    def _linear(self, x: str, module: Any) -> str:
        """In float32: [n, in] to [n, out]."""
        weight, bias = self._const(_array(module.weight)), self._const(_array(module.bias))
        return self._op("Gemm", x, weight, bias, transB=1)

    def _evening(self, *modules: Any, least: float | None = None) -> Array:
        """What the inputs of these modules, which are the same, are divided by: [in].

        Args:
            least: taken from the inputs before, so that none is negative.
        """
        low, high = self._ranges[modules[0]]
        inputs = np.maximum(high, -low) if least is None else high - least
        inputs = inputs.clip(min=SMALLEST)
        weights = np.max([np.abs(_array(module.weight)).max(axis=0) for module in modules], axis=0)
        found: Array = inputs**EVENNESS / weights.clip(min=SMALLEST) ** (1 - EVENNESS)
        return found.astype(np.float32)

    def _rounded(self, x: str, zero: int) -> tuple[str, str]:
        """`x` [tokens, size] as uint8 around `zero`, and the scale of each token, [tokens]."""
        axis = self._shape(1)
        above = self._op("ReduceMax", x, axis, keepdims=0)
        limits = [self._op("Div", above, self._const(np.float32(255 - zero)))]
        if zero:
            below = self._op("ReduceMin", x, axis, keepdims=0)
            limits.append(self._op("Div", below, self._const(np.float32(-zero))))
        scale = self._op("Max", *limits, self._const(np.float32(SMALLEST / 255)))
        zeros = [self._middle] if zero else []
        return self._op("QuantizeLinear", x, scale, *zeros, axis=0), scale

    def _rounded_linear(self, x: str, scale: str, zero: int, weight: Array, bias: Array) -> str:
        """Of 8-bit integers: uint8 [..., in] with scales [..., 1] to float32 [..., out]."""
        values, scales = quantise(weight)
        around = ""
        if self._unsigned:
            values = (values.astype(np.int16) + MIDDLE).astype(np.uint8)
            around = self._const(np.full(scales.shape, MIDDLE, np.uint8))
        product = self._op(
            "MatMulIntegerToFloat",
            x,
            self._const(values),
            self._const(np.float32(1)),
            self._const(scales),
            self._const(np.uint8(zero)),
            around,
            domain=CONTRIB,
        )
        return self._op("Add", self._op("Mul", product, scale), self._const(bias))

    def _column(self, scale: str) -> str:
        return self._op("Unsqueeze", scale, self._shape(-1))

    def _layer(self, layer: Any, x: str) -> str:
        """A layer on all tokens: [tokens, hidden] to the same."""
        output = layer.attention.output
        x = self._add_and_norm(self._attention(layer.attention, x), x, output.LayerNorm)
        found = self._feed_forward(layer.intermediate.dense, layer.output.dense, x)
        return self._add_and_norm(found, x, layer.output.LayerNorm)

    def _feed_forward(self, first: Any, second: Any, x: str) -> str:
        even = self._evening(first)
        rounded, scale = self._rounded(self._op("Mul", x, self._const(1 / even)), MIDDLE)
        weight, bias = _array(first.weight), _array(first.bias)
        inner = self._rounded_linear(rounded, self._column(scale), MIDDLE, weight * even, bias)
        even = self._evening(second, least=GELU_LEAST)
        inner = self._op("Sub", self._op("Gelu", inner), self._const(np.float32(GELU_LEAST)))
        rounded, scale = self._rounded(self._op("Mul", inner, self._const(1 / even)), 0)
        weight, bias = _array(second.weight), _array(second.bias)
        return self._rounded_linear(
            rounded, self._column(scale), 0, weight * even, bias + GELU_LEAST * weight.sum(axis=1)
        )

    def _attention(self, attention: Any, x: str) -> str:
        """Attention with its output's multiplication: [tokens, hidden] to the same."""
        query, key, value = attention.self.query, attention.self.key, attention.self.value
        even = self._evening(query, key, value)
        rounded, scale = self._rounded(self._op("Mul", x, self._const(1 / even)), MIDDLE)
        padded = self._op("Gather", rounded, "rows")
        scales = self._column(self._op("Gather", scale, "rows"))
        # what is attended to is evened out where it is made: attention only takes means of it
        output_even = self._evening(attention.output.dense)
        same = np.ones_like(output_even)
        parts = [
            self._rounded_linear(
                padded,
                scales,
                MIDDLE,
                _array(module.weight) * even / divisor[:, None],
                _array(module.bias) / divisor,
            )
            for module, divisor in ((query, same), (key, same), (value, output_even))
        ]
        heads = {"q_num_heads": self._heads, "kv_num_heads": self._heads}
        found = self._op("Attention", *parts, "", "", "", "lengths", **heads)
        tokens = self._op("Reshape", found, self._shape(-1, self._hidden))
        rounded, scale = self._rounded(self._op("Gather", tokens, "real"), MIDDLE)
        dense = attention.output.dense
        weight, bias = _array(dense.weight) * output_even, _array(dense.bias)
        return self._rounded_linear(rounded, self._column(scale), MIDDLE, weight, bias)

    def _last_layer(self, layer: Any, x: str) -> str:
        """A layer for the first token of each sequence: [tokens, hidden] to [n, hidden].

        In float32, and without keys and values: a query is taken to the space of the hidden
        states, where it finds the mean of these, of which the value is made.
        """
        attention, hidden = layer.attention, self._hidden
        size = hidden // self._heads
        padded = self._op("Gather", x, "rows")
        first = self._op("Gather", padded, self._const(np.int64(0)), axis=1)

        def by_heads(module: Any) -> Array:
            return _array(module.weight).reshape(self._heads, size, hidden)

        query = self._op(
            "Reshape",
            self._linear(first, attention.self.query),
            self._shape(-1, self._heads, size),
        )
        query = self._op("Transpose", query, perm=[1, 0, 2])  # [heads, n, size]
        query = self._op("Mul", query, self._const(np.float32(size**-0.5)))
        query = self._op("MatMul", query, self._const(by_heads(attention.self.key)))
        query = self._op("Transpose", query, perm=[1, 0, 2])  # [n, heads, hidden]
        scores = self._op("MatMul", query, self._op("Transpose", padded, perm=[0, 2, 1]))
        never = self._const(np.finfo(np.float32).min)
        shares = self._op("Softmax", self._op("Where", self._is_real(), scores, never), axis=-1)
        mean = self._op("Transpose", self._op("MatMul", shares, padded), perm=[1, 0, 2])
        values = self._const(by_heads(attention.self.value).transpose(0, 2, 1).copy())
        attended = self._op("Transpose", self._op("MatMul", mean, values), perm=[1, 0, 2])
        attended = self._op("Reshape", attended, self._shape(-1, hidden))
        attended = self._op("Add", attended, self._const(_array(attention.self.value.bias)))
        output = attention.output
        x = self._add_and_norm(self._linear(attended, output.dense), first, output.LayerNorm)
        inner = self._op("Gelu", self._linear(x, layer.intermediate.dense))
        found = self._linear(inner, layer.output.dense)
        return self._add_and_norm(found, x, layer.output.LayerNorm)

    def _is_real(self) -> str:
        """Which places of the padded batch hold a token: bool [n, 1, longest]."""
        longest = self._op("Gather", self._op("Shape", "rows"), self._const(np.int64(1)))
        zero, one = self._const(np.int64(0)), self._const(np.int64(1))
        places = self._op("Range", zero, longest, one)
        return self._op("Less", places, self._op("Unsqueeze", "lengths", self._shape(1, 2)))
