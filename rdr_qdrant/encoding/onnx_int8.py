"""The forward pass with 8-bit integer matrix multiplications, on the CPU, by ONNX Runtime.

The ONNX graph is built from the weights when the encoder is loaded. As in `CLSForward`, sequences
are concatenated and padded only for attention, and the last layer runs for `[CLS]` alone, in
float32. In the other layers weights are quantized per output channel and activations dynamically
per token, so that no vector depends on the rest of its batch. SmoothQuant (Xiao et al. 2023) evens
out the ranges of the input channels first. benchmarks/int8.py compares this with the quantization
that ONNX Runtime and torchao offer (docs/encoding.md).
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from rdr_qdrant.encoding.cls_forward import CLSForward, Forward
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.transfer import Fetch
from rdr_qdrant.errors import ModelError, install_hint

Array = np.ndarray[Any, np.dtype[Any]]

ONNX_OPSET = 24
"""The first whose Attention takes the lengths of padded sequences."""

ONNX_IR_VERSION = 10

CONTRIB_DOMAIN = "com.microsoft"
"""ONNX Runtime's own operators; only `MatMulIntegerToFloat` is used."""

ZERO_POINT = 128
"""Zero point of signed activations, and of weights that are stored as uint8."""

GELU_MINIMUM = -0.17
"""Lower bound of GELU's outputs, which are quantized as unsigned values above it."""

SMOOTHQUANT_ALPHA = 0.5
"""Migration strength of SmoothQuant (eq. 4): the share of the activations' range that is moved to
the weights."""

CALIBRATION_SHAPE = 8, 64
"""Sequences and tokens of the calibration batch."""

MIN_RANGE = 1e-5
"""Lower bound of a channel's range, against division by zero."""

SLOW_FUSIONS = ["SkipLayerNormFusion"]
"""Optimizations of ONNX Runtime to disable: this one makes LayerNorm four times slower on CPUs."""


class Int8Forward(Forward):
    """The forward pass; it is done once it is called.

    Args:
        model: a DPR encoder, float32 on the CPU.

    Raises:
        ModelError: ONNX Runtime is not installed, or the model is not supported.
    """

    def __init__(self, model: Any) -> None:
        if any(find_spec(name) is None for name in ("onnx", "onnxruntime")):
            raise ModelError(f"int8 needs ONNX Runtime: {install_hint('int8')}.")
        if not CLSForward.supports(model.config):
            raise ModelError(
                "int8 supports only BERT as DPR uses it (GELU, absolute positions), not this "
                f"encoder (hidden_act {model.config.hidden_act!r}). Use fp32."
            )
        self._session = _session(int8_graph(model, unsigned=not _adds_without_overflow()))

    def __call__(self, ids: TokenIds) -> Fetch:
        lengths = ids.lengths.astype(np.int64)
        mask = np.arange(lengths.max()) < lengths[:, None]
        padded_rows = np.zeros(mask.shape, dtype=np.int64)
        padded_rows[mask] = np.arange(lengths.sum())
        inputs = {
            "ids": ids.ids.astype(np.int64),
            "positions": ids.positions.astype(np.int64),
            "padded_rows": padded_rows,
            "token_rows": np.flatnonzero(mask),
            "lengths": lengths,
        }
        vectors = self._session.run(["vectors"], inputs)[0]
        return lambda: vectors


def _session(graph: Any) -> Any:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only, which are raised as well
    return onnxruntime.InferenceSession(
        graph.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=SLOW_FUSIONS,
    )


@cache
def _adds_without_overflow() -> bool:
    """Return whether this CPU sums products of uint8 and int8 without overflow.

    x86 processors without VNNI add pairs of products in 16 bits, which saturates.
    """
    from onnx import TensorProto, helper, numpy_helper

    size = 64
    weights = np.full((size, size), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weights"], ["y"])],
        "largest_products",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [size, size])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model: Any = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    sums = _session(model).run(None, {"x": np.full((size, size), 255, np.uint8)})[0]
    return bool((sums == size * 255 * 127).all())


def quantize_weights(weight: Array) -> tuple[Array, Array]:
    """Quantize weights [out, in] to int8 [in, out] with one float32 scale per output, [out]."""
    largest = np.abs(weight).max(axis=1)
    scales = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(127)
    return np.ascontiguousarray(np.rint(weight / scales[:, None]).astype(np.int8).T), scales


def input_ranges(model: Any) -> dict[Any, tuple[Array, Array]]:
    """Return the minimum and maximum of every input channel, [in], of each linear module.

    Calibrated on random tokens: which channels have large values is a property of the model.
    """
    import torch

    ranges: dict[Any, tuple[Array, Array]] = {}

    def record(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        rows = inputs[0].reshape(-1, module.in_features)
        ranges[module] = rows.amin(0).numpy(), rows.amax(0).numpy()

    sequences, tokens = CALIBRATION_SHAPE
    shape = sequences, min(tokens, model.config.max_position_embeddings)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, shape, generator=generator)
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    hooks = [module.register_forward_pre_hook(record) for module in linears]
    try:
        with torch.inference_mode():
            model(ids, attention_mask=torch.ones_like(ids), token_type_ids=torch.zeros_like(ids))
    finally:
        for hook in hooks:
            hook.remove()
    return ranges


def int8_graph(model: Any, *, unsigned: bool) -> Any:
    """Build the encoder as an `onnx.ModelProto`.

    Inputs, int64: `ids` and `positions` [tokens], of concatenated sequences; `padded_rows`
    [n, longest], the token at each position of the padded batch; `token_rows` [tokens], the index
    of each token in the flattened padded batch; `lengths` [n]. Output: `vectors` float32 [n, dim].

    Args:
        model: a DPR encoder that `CLSForward` supports.
        unsigned: store weights as uint8 with a zero point: the same values, slower, for CPUs on
            which products of uint8 and int8 overflow.
    """
    return _GraphBuilder(model, unsigned).build()


class _GraphBuilder:
    """Adds one ONNX node per method call; a node or a constant is known by its output's name."""

    def __init__(self, model: Any, unsigned: bool) -> None:
        from onnx import ModelProto, helper

        self._dpr = getattr(model, model.base_model_prefix)
        self._heads = model.config.num_attention_heads
        self._hidden = model.config.hidden_size
        self._ranges = input_ranges(model)
        self._unsigned = unsigned
        self._names = 0
        self._model = ModelProto(ir_version=ONNX_IR_VERSION, producer_name="rdr-qdrant")
        self._model.opset_import.extend(
            [helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid(CONTRIB_DOMAIN, 1)]
        )
        self._graph = self._model.graph
        self._graph.name = "dpr"

    def build(self) -> Any:
        from onnx import TensorProto, helper

        for name, shape in (
            ("ids", ["tokens"]),
            ("positions", ["tokens"]),
            ("padded_rows", ["n", "longest"]),
            ("token_rows", ["tokens"]),
            ("lengths", ["n"]),
        ):
            self._graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        tokens = self._op("Shape", "ids")
        self._zero_points = self._op("Expand", self._const(np.uint8(ZERO_POINT)), tokens)
        bert = self._dpr.bert_model
        x = self._embed(bert.embeddings)
        *layers, last = bert.encoder.layer
        for layer in layers:
            x = self._layer(layer, x)
        x = self._last_layer(last, x)
        if self._dpr.projection_dim:
            x = self._linear(x, self._dpr.encode_proj)
        self._graph.node.append(helper.make_node("Identity", [x], ["vectors"]))
        self._graph.output.append(
            helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", "dim"])
        )
        return self._model

    def _op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
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

    # Layers in float32

    def _embed(self, embeddings: Any) -> str:
        # segment ids are all zero (rule 2 of docs/encoding.md), so their embedding is a constant
        segment = _array(embeddings.token_type_embeddings.weight)[0]
        tokens = self._const(_array(embeddings.word_embeddings.weight))
        positions = self._const(_array(embeddings.position_embeddings.weight) + segment)
        return self._add_and_norm(
            self._op("Gather", tokens, "ids"),
            self._op("Gather", positions, "positions"),
            embeddings.LayerNorm,
        )

    def _add_and_norm(self, x: str, y: str, norm: Any) -> str:
        weight, bias = self._const(_array(norm.weight)), self._const(_array(norm.bias))
        total = self._op("Add", x, y)
        return self._op("LayerNormalization", total, weight, bias, epsilon=norm.eps)

    def _linear(self, x: str, module: Any) -> str:
        """[n, in] to [n, out]."""
        weight, bias = self._const(_array(module.weight)), self._const(_array(module.bias))
        return self._op("Gemm", x, weight, bias, transB=1)

    # Quantized layers

    def _smoothing_scales(self, *modules: Any, minimum: float | None = None) -> Array:
        """Return SmoothQuant's divisor of each input channel of these modules, [in].

        Args:
            modules: linear modules with the same input.
            minimum: lower bound of the inputs, subtracted from them before; `None` if none is.
        """
        low, high = self._ranges[modules[0]]
        inputs = np.maximum(high, -low) if minimum is None else high - minimum
        inputs = inputs.clip(min=MIN_RANGE)
        weights = np.max([np.abs(_array(module.weight)).max(axis=0) for module in modules], axis=0)
        weights = weights.clip(min=MIN_RANGE)
        scales: Array = inputs**SMOOTHQUANT_ALPHA / weights ** (1 - SMOOTHQUANT_ALPHA)
        return scales.astype(np.float32)

    def _quantize(self, x: str, zero_point: int) -> tuple[str, str]:
        """Quantize `x` [tokens, size] to uint8 and return it with each token's scale, [tokens]."""
        axis = self._shape(1)
        highest = self._op("ReduceMax", x, axis, keepdims=0)
        steps = [self._op("Div", highest, self._const(np.float32(255 - zero_point)))]
        if zero_point:
            lowest = self._op("ReduceMin", x, axis, keepdims=0)
            steps.append(self._op("Div", lowest, self._const(np.float32(-zero_point))))
        scale = self._op("Max", *steps, self._const(np.float32(MIN_RANGE / 255)))
        zero_points = [self._zero_points] if zero_point else []
        return self._op("QuantizeLinear", x, scale, *zero_points, axis=0), scale

    def _quantized_linear(
        self, x: str, scale: str, zero_point: int, weight: Array, bias: Array
    ) -> str:
        """uint8 [..., in] with scales [..., 1] to float32 [..., out]."""
        values, scales = quantize_weights(weight)
        weight_zero_points = ""
        if self._unsigned:
            values = (values.astype(np.int16) + ZERO_POINT).astype(np.uint8)
            weight_zero_points = self._const(np.full(scales.shape, ZERO_POINT, np.uint8))
        product = self._op(
            "MatMulIntegerToFloat",
            x,
            self._const(values),
            self._const(np.float32(1)),
            self._const(scales),
            self._const(np.uint8(zero_point)),
            weight_zero_points,
            domain=CONTRIB_DOMAIN,
        )
        return self._op("Add", self._op("Mul", product, scale), self._const(bias))

    def _as_column(self, scale: str) -> str:
        return self._op("Unsqueeze", scale, self._shape(-1))

    def _layer(self, layer: Any, x: str) -> str:
        """[tokens, hidden] to [tokens, hidden]."""
        norm = layer.attention.output.LayerNorm
        x = self._add_and_norm(self._attention(layer.attention, x), x, norm)
        output = self._feed_forward(layer.intermediate.dense, layer.output.dense, x)
        return self._add_and_norm(output, x, layer.output.LayerNorm)

    def _feed_forward(self, first: Any, second: Any, x: str) -> str:
        smoothing = self._smoothing_scales(first)
        quantized, scale = self._quantize(
            self._op("Mul", x, self._const(1 / smoothing)), ZERO_POINT
        )
        weight, bias = _array(first.weight) * smoothing, _array(first.bias)
        inner = self._quantized_linear(quantized, self._as_column(scale), ZERO_POINT, weight, bias)
        smoothing = self._smoothing_scales(second, minimum=GELU_MINIMUM)
        inner = self._op("Sub", self._op("Gelu", inner), self._const(np.float32(GELU_MINIMUM)))
        quantized, scale = self._quantize(self._op("Mul", inner, self._const(1 / smoothing)), 0)
        weight, bias = _array(second.weight), _array(second.bias)
        bias = bias + GELU_MINIMUM * weight.sum(axis=1)
        return self._quantized_linear(
            quantized, self._as_column(scale), 0, weight * smoothing, bias
        )

    def _attention(self, attention: Any, x: str) -> str:
        """Attention with its output projection, [tokens, hidden] to [tokens, hidden]."""
        query, key, value = attention.self.query, attention.self.key, attention.self.value
        dense = attention.output.dense
        smoothing = self._smoothing_scales(query, key, value)
        quantized, scale = self._quantize(
            self._op("Mul", x, self._const(1 / smoothing)), ZERO_POINT
        )
        padded = self._op("Gather", quantized, "padded_rows")
        scales = self._as_column(self._op("Gather", scale, "padded_rows"))
        # attention averages the values, so the output projection's inputs are smoothed in them
        output_smoothing = self._smoothing_scales(dense)
        unchanged = np.ones_like(output_smoothing)
        projected = [
            self._quantized_linear(
                padded,
                scales,
                ZERO_POINT,
                _array(module.weight) * smoothing / divisor[:, None],
                _array(module.bias) / divisor,
            )
            for module, divisor in (
                (query, unchanged),
                (key, unchanged),
                (value, output_smoothing),
            )
        ]
        heads = {"q_num_heads": self._heads, "kv_num_heads": self._heads}
        attended = self._op("Attention", *projected, "", "", "", "lengths", **heads)
        flat = self._op("Reshape", attended, self._shape(-1, self._hidden))
        quantized, scale = self._quantize(self._op("Gather", flat, "token_rows"), ZERO_POINT)
        weight, bias = _array(dense.weight) * output_smoothing, _array(dense.bias)
        return self._quantized_linear(quantized, self._as_column(scale), ZERO_POINT, weight, bias)

    # The last layer, in float32

    def _last_layer(self, layer: Any, x: str) -> str:
        """The last layer for `[CLS]`, [tokens, hidden] to [n, hidden]; see `cls_forward`."""
        attention, hidden = layer.attention, self._hidden
        size = hidden // self._heads
        padded = self._op("Gather", x, "padded_rows")
        first = self._op("Gather", padded, self._const(np.int64(0)), axis=1)

        def by_head(module: Any) -> Array:
            return _array(module.weight).reshape(self._heads, size, hidden)

        query = self._linear(first, attention.self.query)
        query = self._op("Reshape", query, self._shape(-1, self._heads, size))
        query = self._op("Transpose", query, perm=[1, 0, 2])  # [heads, n, size]
        query = self._op("Mul", query, self._const(np.float32(size**-0.5)))
        query = self._op("MatMul", query, self._const(by_head(attention.self.key)))
        query = self._op("Transpose", query, perm=[1, 0, 2])  # [n, heads, hidden]
        scores = self._op("MatMul", query, self._op("Transpose", padded, perm=[0, 2, 1]))
        lowest = self._const(np.finfo(np.float32).min)
        masked = self._op("Where", self._attention_mask(), scores, lowest)
        mean = self._op("MatMul", self._op("Softmax", masked, axis=-1), padded)
        mean = self._op("Transpose", mean, perm=[1, 0, 2])
        values = self._const(by_head(attention.self.value).transpose(0, 2, 1).copy())
        attended = self._op("Transpose", self._op("MatMul", mean, values), perm=[1, 0, 2])
        attended = self._op("Reshape", attended, self._shape(-1, hidden))
        attended = self._op("Add", attended, self._const(_array(attention.self.value.bias)))
        output = attention.output
        x = self._add_and_norm(self._linear(attended, output.dense), first, output.LayerNorm)
        inner = self._op("Gelu", self._linear(x, layer.intermediate.dense))
        return self._add_and_norm(
            self._linear(inner, layer.output.dense), x, layer.output.LayerNorm
        )

    def _attention_mask(self) -> str:
        """Return whether each position of the padded batch holds a token, bool [n, 1, longest]."""
        longest = self._op("Gather", self._op("Shape", "padded_rows"), self._const(np.int64(1)))
        zero, one = self._const(np.int64(0)), self._const(np.int64(1))
        positions = self._op("Range", zero, longest, one)
        return self._op("Less", positions, self._op("Unsqueeze", "lengths", self._shape(1, 2)))


def _array(tensor: Any) -> Array:
    array: Array = tensor.detach().float().cpu().numpy()
    return array
