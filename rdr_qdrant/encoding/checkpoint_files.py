"""Recognising files of a checkpoint folder that are not what their names say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rdr_qdrant.encoding.tokenizer_files import TOKENIZER_FILES
from rdr_qdrant.errors import ModelError

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
HTML = (b"<!doctype html", b"<html")
DPR_SUFFIX = ".cp"

DPR_CHECKPOINT = (
    "a checkpoint of DPR's own code, which holds both encoders in one file. Convert it to two "
    "folders with convert_dpr_original_checkpoint_to_pytorch.py of transformers 4"
)


def check_files(path: Path) -> None:
    """Check that `path` is a folder whose files are a checkpoint's.

    Raises:
        ModelError: it is a single file, has no config.json, or one of the files that would be read
            is a Git LFS pointer or a web page.
    """
    if path.is_file():
        if path.suffix == DPR_SUFFIX:
            raise ModelError(f"{path} is {DPR_CHECKPOINT}.")
        raise ModelError(f"{path} is a file. Name the folder of an encoder.")
    for file in _files_to_read(path):
        with file.open("rb") as opened:
            start = opened.read(64)
        if start.startswith(LFS_POINTER):
            raise ModelError(
                f"{file} is a Git LFS pointer, not the file itself. Run 'git lfs pull' in its "
                "folder, or download the encoder with 'hf download'."
            )
        if start.lstrip().lower().startswith(HTML):
            raise ModelError(
                f"{file} is a web page, not the file itself. Download the encoder again, with "
                "'hf download'."
            )
    if not (path / "config.json").is_file():
        for file in sorted(path.glob(f"*{DPR_SUFFIX}")):
            raise ModelError(f"{path} has no config.json, and {file.name} is {DPR_CHECKPOINT}.")
        raise ModelError(
            f"{path} has no config.json. The folder of an encoder holds config.json, the weights "
            "(model.safetensors or pytorch_model.bin), and vocab.txt or tokenizer.json."
        )


def _files_to_read(folder: Path) -> Iterator[Path]:
    """Yield the files that transformers would read; safetensors come before pickled weights."""
    names = ("config.json", *TOKENIZER_FILES)
    yield from (folder / name for name in names if (folder / name).is_file())
    weights = sorted(folder.glob("model*.safetensors*")) or sorted(folder.glob("pytorch_model*"))
    yield from (file for file in weights if file.is_file())
