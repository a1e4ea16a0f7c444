"""Files that are not what their names say are named for what they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.checkpoint import load_checkpoint
from rdr_qdrant.errors import ModelError

LFS_POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 437985387
"""
DPR = "a checkpoint of DPR's own code, .*convert_dpr_original_checkpoint_to_pytorch.py"


@pytest.fixture
def folder(tiny_pair: tuple[str, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pair[0], tmp_path / "copy"))


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        load_checkpoint(Side.CONTEXT, str(path))
    assert "\n" not in str(error.value)


def pickle_weights(folder: Path, **more: object) -> None:
    """Replace the safetensors by `pytorch_model.bin`, as DPR's own code lays weights out."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({"model_dict": weights, **more}, folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "vocab.txt", "tokenizer.json"]
)
def test_a_git_lfs_pointer_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(LFS_POINTER)
    refused(folder, f"{name} is a Git LFS pointer, not the file itself. Run 'git lfs pull'")


def test_a_git_lfs_pointer_in_place_of_pickled_weights_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(LFS_POINTER)
    refused(folder, "pytorch_model.bin is a Git LFS pointer")


def test_a_git_lfs_pointer_that_is_not_read_does_no_harm(folder: Path) -> None:
    for name in ("pytorch_model.bin", "tf_model.h5"):
        (folder / name).write_bytes(LFS_POINTER)
    load_checkpoint(Side.CONTEXT, str(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_a_web_page_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("\n<!DOCTYPE html>\n<html>not found</html>\n" * 20)
    refused(folder, f"{name} is a web page")


def test_dprs_own_checkpoint_is_named(folder: Path) -> None:
    pickle_weights(folder, optimizer_dict={}, epoch=1)
    refused(folder, f"The weights in .* are {DPR}")
    file = (folder / "pytorch_model.bin").rename(folder / "dpr_biencoder.0.cp")
    refused(file, f"dpr_biencoder.0.cp is {DPR}")
    (folder / "config.json").unlink()
    refused(folder, f"has no config.json, and dpr_biencoder.0.cp is {DPR}")


def test_a_file_in_place_of_a_folder_is_named(folder: Path) -> None:
    refused(folder / "model.safetensors", "model.safetensors is a file. Name the folder")


def test_a_folder_without_a_config_says_what_it_should_hold(tmp_path: Path) -> None:
    refused(tmp_path, "has no config.json. The folder of an encoder holds config.json, the weights")


def test_damaged_pickled_weights_never_suggest_to_run_their_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle")
    refused(folder, "its weights file is damaged or holds pickled code, which is never run")
