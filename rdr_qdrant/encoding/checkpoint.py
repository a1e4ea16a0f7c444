"""Loading an encoder: exactly its class, every weight from the checkpoint, no pickled code."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rdr_qdrant.encoding.checkpoint_files import DPR_CHECKPOINT, check_files
from rdr_qdrant.encoding.tokenizer_files import TOKENIZER_FILES, load_tokenizer
from rdr_qdrant.encoding.weights import IGNORED_WEIGHTS, DPRSettings, read_settings, read_weights
from rdr_qdrant.errors import ModelError

if TYPE_CHECKING:
    import torch


class Side(Enum):
    """One of the two encoders of a pair; the value is its name in messages."""

    CONTEXT = "context encoder"
    QUESTION = "question encoder"

    @property
    def class_name(self) -> str:
        return "DPRContextEncoder" if self is Side.CONTEXT else "DPRQuestionEncoder"

    @property
    def weight_prefix(self) -> str:
        return "ctx_encoder." if self is Side.CONTEXT else "question_encoder."

    @property
    def other(self) -> Side:
        return Side.QUESTION if self is Side.CONTEXT else Side.CONTEXT


@dataclass(frozen=True)
class Checkpoint:
    """A loaded encoder: float32, on the CPU.

    Attributes:
        side: the encoder that it is.
        config: its `transformers.DPRConfig`, or `DPRSettings`.
        weights: all of them by name.
        tokenizer: its `tokenizers.Tokenizer`, without truncation and padding.
        loaded_model: the model, if transformers loaded it.
    """

    side: Side
    config: Any
    weights: Mapping[str, torch.Tensor]
    tokenizer: Any
    loaded_model: Any = None

    @property
    def prefix(self) -> str:
        """Prefix of the names of all weights."""
        return self.side.weight_prefix

    @cached_property
    def model(self) -> Any:
        """A `DPRContextEncoder` or `DPRQuestionEncoder` with these weights, in evaluation mode."""
        import transformers

        if self.loaded_model is not None:
            return self.loaded_model
        config = transformers.DPRConfig(**vars(self.config))
        model = getattr(transformers, self.side.class_name)(config)
        model.load_state_dict(self.weights)
        return model.eval()

    def weights_digest(self) -> str:
        """Return the SHA-256 (hex) of the names, shapes and float32 values of all weights.

        It does not depend on the file format, the folder or the hub repository.
        """
        digest = hashlib.sha256()
        for name, tensor in sorted(self.weights.items()):
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(np.ascontiguousarray(tensor.detach().float().cpu().numpy()).data)
        return digest.hexdigest()


def load_checkpoint(side: Side, source: str, revision: str | None = None) -> Checkpoint:
    """Load an encoder from a folder or, through the Hugging Face cache, from a hub id.

    Private repositories are read with the hub client's own token (`HF_TOKEN` or `hf auth login`),
    and its variables `HF_HUB_OFFLINE` and `HF_HOME` apply.

    Args:
        side: the encoder that it must be.
        source: folder or hub id.
        revision: branch, tag or commit of the hub id; ignored for a folder.

    Raises:
        ModelError: it cannot be read or downloaded, is not a DPR checkpoint, is the other encoder
            of the pair, lacks weights, has unknown weights, or has no usable tokenizer.
    """
    path = Path(source).expanduser()
    is_local = path.exists()
    if is_local:
        check_files(path)
    elif _looks_like_path(source):
        raise ModelError(f"No such folder: {source} (given as the {side.value}).")
    with _translate_load_errors(side, source, is_local):
        folder = path if is_local else _download_tokenizer(source, revision)
        settings = read_settings(folder)
        weights = settings and read_weights(folder, settings, side.weight_prefix)
        if settings and weights:
            return Checkpoint(side, settings, weights, load_tokenizer(folder, settings.vocab_size))
        model = _load_model(side, source, path if is_local else None, revision)
        tokenizer = load_tokenizer(folder, model.config.vocab_size)
    return Checkpoint(side, model.config, dict(model.named_parameters()), tokenizer, model)


def _load_model(side: Side, source: str, folder: Path | None, revision: str | None) -> Any:
    """Return the model as transformers loads it, having checked that it lacks nothing."""
    import transformers

    location = str(folder or source)
    options = {} if revision is None or folder else {"revision": revision}
    with _quiet_transformers():
        config = transformers.AutoConfig.from_pretrained(
            location, trust_remote_code=False, **options
        )
        if config.model_type != "dpr":
            raise ModelError(
                f"{source} is a {config.model_type!r} checkpoint, not a DPR one: RDR needs exactly "
                f"{side.class_name}. Name a DPR {side.value}."
            )
        model, info = getattr(transformers, side.class_name).from_pretrained(
            location, output_loading_info=True, dtype="float32", weights_only=True, **options
        )
    _check_entries(side, source, info)
    return model.eval()


def load_checkpoint_tokenizer(side: Side, source: str, revision: str | None = None) -> Any:
    """Load an encoder's tokenizer alone, without its weights; see `load_checkpoint`.

    Raises:
        ModelError: it cannot be read or downloaded, or is no tokenizer that fits the encoder.
    """
    path = Path(source).expanduser()
    is_local = path.exists()
    if not is_local and _looks_like_path(source):
        raise ModelError(f"No such folder: {source} (given as the {side.value}).")
    with _translate_load_errors(side, source, is_local):
        folder = path if is_local else _download_tokenizer(source, revision)
        settings = read_settings(folder) or DPRSettings()
        return load_tokenizer(folder, settings.vocab_size)


def _looks_like_path(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source


def _download_tokenizer(source: str, revision: str | None) -> Path:
    """Return the folder in the Hugging Face cache that holds the tokenizer's files."""
    from huggingface_hub import snapshot_download

    with _quiet_hub():
        return Path(
            snapshot_download(
                source, revision=revision, allow_patterns=[*TOKENIZER_FILES, "config.json"]
            )
        )


@contextmanager
def _translate_load_errors(side: Side, source: str, is_local: bool) -> Iterator[None]:
    """Turn the failures of transformers, the hub, torch and safetensors into `ModelError`s."""
    try:
        yield
    except ModelError:
        raise
    except pickle.UnpicklingError:
        raise ModelError(
            f"The {side.value} in {source} cannot be loaded: its weights file is damaged or holds "
            "pickled code, which is never run. Download it again, or convert it to safetensors."
        ) from None
    except Exception as error:
        if is_local:
            raise ModelError(
                f"The {side.value} in {source} cannot be loaded: {_first_line(error)} "
                "Download it again, with 'hf download'."
            ) from None
        raise ModelError(
            f"The {side.value} {source} is not in the local cache and cannot be downloaded "
            f"({_first_line(error)}) If a folder was meant, there is none of this name. Offline: "
            f"run 'hf download {source}' where there is a network, for the other encoder of the "
            "pair too, copy both folders here, and name them with --context-encoder and "
            "--question-encoder; or try --model demo, which needs no hub."
        ) from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith(".") else text + "."


def _check_entries(side: Side, source: str, info: Mapping[str, Any]) -> None:
    """Refuse newly initialised and unknown weights (rules 7 and 9 of docs/encoding.md)."""
    missing = sorted(info["missing_keys"])
    unexpected = sorted(k for k in info["unexpected_keys"] if not IGNORED_WEIGHTS.fullmatch(k))
    if "model_dict" in unexpected:
        raise ModelError(f"The weights in {source} are {DPR_CHECKPOINT}.")
    mismatched = sorted(str(entry) for entry in info["mismatched_keys"])
    if missing and any(key.startswith(side.other.weight_prefix) for key in unexpected):
        raise ModelError(
            f"{source} is a {side.other.value}, given as the {side.value}: "
            "its vectors would be wrong. Swap the two, or name the right one."
        )
    if missing or mismatched:
        bad = (missing + mismatched)[0]
        raise ModelError(
            f"{source} lacks {len(missing) + len(mismatched)} weights of a {side.class_name} "
            f"(such as {bad}), which would be random. It is damaged or no {side.value}."
        )
    if unexpected:
        raise ModelError(
            f"{source} has {len(unexpected)} weights that a {side.class_name} does not have "
            f"(such as {unexpected[0]}): its vectors would be wrong. Name a DPR {side.value}."
        )


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Silence the hub's client, which logs each of its retries."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub.setLevel(level)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence transformers' load report and progress bars; our errors take one line."""
    from transformers.utils import logging as hf_logging

    transformers_logging: Any = hf_logging  # not fully typed
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        with _quiet_hub():
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
