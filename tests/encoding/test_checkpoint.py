"""Checkpoints that load, and those that are refused with an error that says what to do."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DPRConfig

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.checkpoint import load_checkpoint
from rdr_qdrant.encoding.weights import DPRSettings, read_settings, read_weights
from rdr_qdrant.errors import ModelError
from tests.checkpoints import CLASSES, write_encoder, write_pair


@pytest.fixture
def folder(tiny_pair: tuple[str, str], tmp_path: Path) -> Path:
    """A copy of the context encoder that a test may damage."""
    return Path(shutil.copytree(tiny_pair[0], tmp_path / "copy"))


def as_saved_by_transformers_4_5(folder: Path) -> None:
    """`pytorch_model.bin`, with the entries that classes of that time had."""
    state = load_file(folder / "model.safetensors")
    hidden = state["ctx_encoder.bert_model.embeddings.LayerNorm.weight"].shape[0]
    state["ctx_encoder.bert_model.embeddings.position_ids"] = torch.arange(512)[None]
    state["ctx_encoder.bert_model.pooler.dense.weight"] = torch.randn(hidden, hidden)
    state["ctx_encoder.bert_model.pooler.dense.bias"] = torch.randn(hidden)
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_an_official_checkpoint_of_transformers_4_5_loads(
    folder: Path, tiny_pair: tuple[str, str]
) -> None:
    as_saved_by_transformers_4_5(folder)
    old, new = (load_checkpoint(Side.CONTEXT, str(f)) for f in (folder, tiny_pair[0]))
    assert old.weights_digest() == new.weights_digest()


def test_half_precision_files_are_run_in_float32(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    halves = {name: tensor.half() for name, tensor in state.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    assert load_checkpoint(Side.CONTEXT, str(folder)).model.dtype is torch.float32


def test_other_weights_have_another_digest(
    tiny_pair: tuple[str, str], other_pair: tuple[str, str]
) -> None:
    digests = [
        load_checkpoint(Side.CONTEXT, p[0]).weights_digest() for p in (tiny_pair, other_pair)
    ]
    assert digests[0] != digests[1]


def test_a_question_encoder_in_the_context_slot_is_refused(tiny_pair: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match="is a question encoder, given as the context encoder"):
        load_checkpoint(Side.CONTEXT, tiny_pair[1])
    with pytest.raises(ModelError, match="is a context encoder, given as the question encoder"):
        load_checkpoint(Side.QUESTION, tiny_pair[0])


def test_a_missing_weight_is_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["ctx_encoder.bert_model.encoder.layer.1.output.dense.bias"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights .*layer\.1\.output\.dense\.bias"):
        load_checkpoint(Side.CONTEXT, str(folder))


def test_a_weight_of_another_shape_is_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["ctx_encoder.bert_model.embeddings.LayerNorm.bias"] = torch.zeros(31)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError):
        load_checkpoint(Side.CONTEXT, str(folder))


def test_an_unknown_weight_is_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["ctx_encoder.bert_model.encoder.layer.2.output.dense.bias"] = torch.zeros(32)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="that a DPRContextEncoder does not have"):
        load_checkpoint(Side.CONTEXT, str(folder))


def test_another_architecture_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(ModelError, match="'bert' checkpoint, not a DPR one"):
        load_checkpoint(Side.CONTEXT, str(folder))


@pytest.mark.parametrize("keep", [0, 9, 5000])
def test_a_truncated_file_is_refused(folder: Path, keep: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_checkpoint(Side.CONTEXT, str(folder))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code from a checkpoint was run')",)


def test_a_pickle_that_would_run_code_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"x": _Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_checkpoint(Side.CONTEXT, str(folder))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_checkpoint(Side.CONTEXT, str(folder))


def test_a_folder_without_a_vocabulary_is_refused(folder: Path) -> None:
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError):
        load_checkpoint(Side.CONTEXT, str(folder))


def test_a_vocabulary_larger_than_the_embeddings_is_refused(folder: Path) -> None:
    with (folder / "vocab.txt").open("a") as file:
        file.write("\nsurplus\n")
    with pytest.raises(ModelError, match="belongs to another model"):
        load_checkpoint(Side.CONTEXT, str(folder))


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(ModelError, match=r"No such folder: \./nowhere"):
        load_checkpoint(Side.CONTEXT, "./nowhere")


def test_a_hub_id_that_cannot_be_downloaded_says_what_to_do_offline() -> None:
    with pytest.raises(ModelError, match=r"nobody/nothing .*Offline: .*hf download"):
        load_checkpoint(Side.CONTEXT, "nobody/nothing")


def test_a_pair_with_different_dimensions_is_refused(
    tmp_path: Path, tiny_pair: tuple[str, str]
) -> None:
    wide = write_encoder(tmp_path / "wide", Side.QUESTION, hidden=64)
    embeddings = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=str(wide))
    with pytest.raises(ModelError, match="32 dimensions, the question encoder's 64"):
        embeddings.warm_up()


def test_a_pair_with_different_vocabularies_is_refused(
    tmp_path: Path, tiny_pair: tuple[str, str]
) -> None:
    changed = Path(shutil.copytree(tiny_pair[1], tmp_path / "changed"))
    words = (changed / "vocab.txt").read_text(encoding="utf-8").split("\n")
    words[-1], words[-2] = words[-2], words[-1]
    (changed / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    embeddings = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=str(changed))
    with pytest.raises(ModelError, match="the vocabulary of the context encoder"):
        embeddings.warm_up()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_sharded_checkpoint_loads(folder: Path, tiny_pair: tuple[str, str], name: str) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem, ending = name.split(".")
    places = {}
    for number, part in enumerate((sorted(state)[::2], sorted(state)[1::2]), start=1):
        shard = f"{stem}-{number:05}-of-00002.{ending}"
        tensors = {key: state[key] for key in part}
        if ending == "bin":
            torch.save(tensors, folder / shard)
        else:
            save_file(tensors, folder / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(part, shard)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / f"{name}.index.json").write_text(json.dumps(index))
    sharded, whole = (load_checkpoint(Side.CONTEXT, str(f)) for f in (folder, tiny_pair[0]))
    assert sharded.weights_digest() == whole.weights_digest()


def test_a_tokenizer_json_without_a_vocabulary_file_loads(
    folder: Path, tiny_pair: tuple[str, str]
) -> None:
    plain = load_checkpoint(Side.CONTEXT, tiny_pair[0]).tokenizer
    plain.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").unlink()
    found = load_checkpoint(Side.CONTEXT, str(folder)).tokenizer
    assert found.encode("the river", "of a king").ids == plain.encode("the river", "of a king").ids


def test_the_revision_reaches_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from transformers import AutoConfig

    asked: list[str] = []

    def snapshot_download(source: str, revision: str = "main", **options: object) -> str:
        asked.append(f"{source}@{revision}")
        return str(tmp_path)

    def from_pretrained(location: str, revision: str = "main", **options: object) -> None:
        asked.append(f"{location}@{revision}")
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(AutoConfig, "from_pretrained", from_pretrained)
    embeddings = RDREmbeddings(context_encoder="o/c", question_encoder="o/q", revision="v2")
    with pytest.raises(ModelError):
        embeddings.embed_query("x")
    assert asked == ["o/q@v2"] * 2


def test_a_max_length_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    context, question = write_pair(tmp_path, positions=128)
    embeddings = RDREmbeddings(context_encoder=context, question_encoder=question)
    with pytest.raises(ModelError, match="max_length is 256, but .* has only 128 positions"):
        embeddings.embed_query("x")


def test_an_unknown_device_is_refused(tiny_pair: tuple[str, str]) -> None:
    embeddings = RDREmbeddings(
        context_encoder=tiny_pair[0], question_encoder=tiny_pair[1], device="nonsense"
    )
    with pytest.raises(ModelError, match="'nonsense' cannot be used here"):
        embeddings.embed_query("x")


def test_two_loads_of_a_checkpoint_give_the_same_vectors(tiny_pair: tuple[str, str]) -> None:
    vectors = [
        RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1]).embed_query("x")
        for _ in range(2)
    ]
    assert np.array_equal(*vectors)


def test_defaults_of_settings_are_those_of_transformers() -> None:
    theirs = DPRConfig()
    ours = vars(DPRSettings())
    assert {name: getattr(theirs, name, ours[name]) for name in ours} == ours


@pytest.mark.parametrize("projection", [0, 24])
def test_weights_are_read_without_transformers_as_it_reads_them(
    tmp_path: Path, projection: int
) -> None:
    folder = write_encoder(tmp_path, Side.CONTEXT, projection=projection)
    model = CLASSES[Side.CONTEXT].from_pretrained(folder)
    for convert in (lambda folder: None, as_saved_by_transformers_4_5):
        convert(folder)
        checkpoint = load_checkpoint(Side.CONTEXT, str(folder))
        assert checkpoint.loaded_model is None
        assert checkpoint.weights.keys() == dict(model.named_parameters()).keys()
        for name, parameter in model.named_parameters():
            assert torch.equal(checkpoint.weights[name], parameter)
        for setting, value in vars(checkpoint.config).items():
            assert getattr(model.config, setting, value) == value
        for name, tensor in checkpoint.model.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name])


def test_files_that_are_not_exactly_the_weights_are_left_to_transformers(folder: Path) -> None:
    settings = read_settings(folder)
    assert settings is not None
    assert read_weights(folder, settings, "ctx_encoder.") is not None
    assert read_weights(folder, settings, "question_encoder.") is None
    assert read_weights(folder, replace(settings, vocab_size=9), "ctx_encoder.") is None
    state = load_file(folder / "model.safetensors")
    for name, tensor in (("more", torch.zeros(1)), (next(iter(state)), torch.zeros(1).half())):
        save_file(state | {name: tensor}, folder / "model.safetensors")
        assert read_weights(folder, settings, "ctx_encoder.") is None
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    assert read_weights(folder, settings, "ctx_encoder.") is None


def test_weights_may_be_replaced_once_an_encoder_is_loaded(folder: Path) -> None:
    """Nothing of a loaded encoder is still mapped to the file."""
    encoder = Encoder(Side.CONTEXT, str(folder), max_length=64, device="cpu")
    before = encoder.encode(["the river"]).vectors
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert np.array_equal(encoder.encode(["the river"]).vectors, before)
