"""Reading a checkpoint without transformers, whose models take two seconds to import.

Only a checkpoint that holds exactly the weights of its class is read here, float32 and in one file;
its tensors are memory-mapped. transformers loads or refuses all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

IGNORED_WEIGHTS = re.compile(r".*\.(embeddings\.position_ids|pooler\.dense\.(weight|bias))")
"""Entries of checkpoints saved with transformers 4.5 that today's classes do not have: a constant
buffer, and BERT's pooler, which DPR does not use."""

BERT_MODEL, PROJECTION = "bert_model.", "encode_proj."
"""Prefixes of weights within those of an encoder (`ctx_encoder.` or `question_encoder.`)."""


@dataclass(frozen=True)
class DPRSettings:
    """Settings of config.json that the weights and the forward pass depend on.

    Names and defaults are those of `transformers.DPRConfig`; a config.json holds only the settings
    that differ from them.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    projection_dim: int = 0
    position_embedding_type: str = "absolute"
    is_decoder: bool = False


def read_settings(folder: Path) -> DPRSettings | None:
    """Return the settings of a DPR checkpoint; `None` if its config.json is not one of DPR's."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["model_type"] != "dpr" or "quantization_config" in config:
            return None
        names = [field.name for field in fields(DPRSettings)]
        return DPRSettings(**{name: config[name] for name in names if name in config})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_weights(
    folder: Path, settings: DPRSettings, prefix: str
) -> Mapping[str, torch.Tensor] | None:
    """Return the weights of an encoder by their names, memory-mapped, float32.

    Args:
        folder: of the checkpoint.
        settings: from its config.json.
        prefix: `ctx_encoder.` or `question_encoder.`.

    Returns:
        `None` if the file is damaged, or its weights are not exactly those of the encoder.
    """
    import torch

    try:
        tensors = _open(folder)
        found = {k: v for k, v in tensors.items() if not IGNORED_WEIGHTS.fullmatch(k)}
        shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
        is_exact = shapes == _shapes(settings, prefix) and all(
            isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32
            for tensor in found.values()
        )
    except Exception:  # of many kinds; transformers then says what is wrong
        return None
    return found if is_exact else None


def _open(folder: Path) -> Mapping[str, Any]:
    """Return the tensors of the one file that transformers would read."""
    import torch
    from safetensors.torch import load_file

    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    if any(folder.glob("model*.safetensors*")):
        return {}
    tensors: Mapping[str, Any] = torch.load(
        folder / "pytorch_model.bin", map_location="cpu", mmap=True, weights_only=True
    )
    return tensors


def _shapes(settings: DPRSettings, prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of an encoder."""
    hidden, inner = settings.hidden_size, settings.intermediate_size
    linears = {
        "attention.self.query": (hidden, hidden),
        "attention.self.key": (hidden, hidden),
        "attention.self.value": (hidden, hidden),
        "attention.output.dense": (hidden, hidden),
        "intermediate.dense": (inner, hidden),
        "output.dense": (hidden, inner),
    }
    layer: dict[str, tuple[int, ...]] = {}
    for name, shape in linears.items():
        layer |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        layer |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
    bert: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (settings.vocab_size, hidden),
        "embeddings.position_embeddings.weight": (settings.max_position_embeddings, hidden),
        "embeddings.token_type_embeddings.weight": (settings.type_vocab_size, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for number in range(settings.num_hidden_layers):
        bert |= {f"encoder.layer.{number}.{name}": shape for name, shape in layer.items()}
    encoder = {f"{prefix}{BERT_MODEL}{name}": shape for name, shape in bert.items()}
    if projection := settings.projection_dim:
        encoder[f"{prefix}{PROJECTION}weight"] = (projection, hidden)
        encoder[f"{prefix}{PROJECTION}bias"] = (projection,)
    return encoder
