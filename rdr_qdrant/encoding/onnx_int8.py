"""The forward pass with matrix multiplications of 8-bit integers, on the CPU, by ONNX Runtime.

The graph is made once for each set of weights and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rdr_qdrant.encoding.cls_forward import CLSForward, FloatArray
from rdr_qdrant.encoding.encoder_cache import cache_folder
from rdr_qdrant.encoding.onnx_int8_graph import int8_graph
from rdr_qdrant.errors import ModelError, install_hint

logger = logging.getLogger(__name__)

RECIPE = 1
"""Raised whenever the graph is made otherwise, so that no older one is taken."""

GRAPH, CHECKSUM = "encoder.onnx", "sha256"

SLOW_FUSIONS = ["SkipLayerNormFusion"]
"""Of ONNX Runtime's own: this one makes LayerNorm four times as slow on the CPU."""


class Int8Forward:
    """Token ids of some inputs to their vectors.

    Args:
        model: a DPR encoder as loaded, float32 on the CPU.
        weights_digest: see `Checkpoint.weights_digest`.

    Raises:
        ModelError: ONNX Runtime is not installed, the model is no BERT as DPR uses it, or the cache
            cannot be written.
    """

    def __init__(self, model: Any, weights_digest: str) -> None:
        _check_installed()
        if not CLSForward.fits(model.config):
            raise ModelError(
                f"int8 knows only BERT as DPR uses it (GELU, absolute positions), not this encoder "
                f"(hidden_act {model.config.hidden_act!r}). Use fp32."
            )
        self._session = _session(_prepared(model, weights_digest))

    def __call__(self, ids: list[list[int]]) -> FloatArray:
        """Float32 [n, dim], in the order of the inputs."""
        lengths = np.array([len(sequence) for sequence in ids], dtype=np.int64)
        real = np.arange(lengths.max()) < lengths[:, None]
        rows = np.zeros(real.shape, dtype=np.int64)
        rows[real] = np.arange(lengths.sum())
        inputs = {
            "ids": np.concatenate([np.array(sequence, dtype=np.int64) for sequence in ids]),
            "places": np.nonzero(real)[1],
            "rows": rows,
            "real": np.flatnonzero(real),
            "lengths": lengths,
        }
        vectors: FloatArray = self._session.run(["vectors"], inputs)[0]
        return vectors


def _check_installed() -> None:
    if any(find_spec(name) is None for name in ("onnx", "onnxruntime")):
        raise ModelError(f"int8 needs ONNX Runtime: {install_hint('int8')}.")


def _session(graph: Path | bytes) -> Any:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors, which are raised too
    return onnxruntime.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=SLOW_FUSIONS,
    )


def _prepared(model: Any, weights_digest: str) -> Path:
    """The file of the graph, made on first use, and again where it was damaged."""
    unsigned = not _adds_without_overflow()
    config = model.config
    facts = [
        RECIPE,
        weights_digest,
        config.num_attention_heads,
        config.layer_norm_eps,
        config.projection_dim,
        unsigned,
    ]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    folder = cache_folder() / "int8" / name
    if not _is_whole(folder):
        logger.info("preparing the int8 encoder, once")
        try:
            _make(folder, model, unsigned)
        except OSError as error:
            raise ModelError(
                f"The int8 encoder cannot be written to {folder}: {error.strerror}. Free some "
                "space (250 MB), or set XDG_CACHE_HOME to a folder that can be written."
            ) from None
    return folder / GRAPH


def _is_whole(folder: Path) -> bool:
    try:
        with (folder / GRAPH).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return found == (folder / CHECKSUM).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _make(folder: Path, model: Any, unsigned: bool) -> None:
    """Write the graph and its checksum beside their place and move them there at once."""
    graph = int8_graph(model, unsigned=unsigned).SerializeToString()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".int8-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        (made / GRAPH).write_bytes(graph)
        (made / CHECKSUM).write_text(hashlib.sha256(graph).hexdigest(), encoding="ascii")
        if folder.exists() and not _is_whole(folder):
            folder.rename(Path(scratch) / "damaged")
        try:
            made.rename(folder)
        except OSError:
            if not _is_whole(folder):  # else another process was faster, with the same result
                raise


@cache
def _adds_without_overflow() -> bool:
    """Whether products of uint8 and int8 are added in full here.

    Older x86 processors add pairs of them in 16 bits.
    """
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    size = 64
    weights = np.full((size, size), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weights"], ["y"])],
        "largest",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [size, size])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    found = _session(model.SerializeToString()).run(
        None, {"x": np.full((size, size), 255, np.uint8)}
    )[0]
    return bool((found == size * 255 * 127).all())
