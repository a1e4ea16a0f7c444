"""LangChain's interface; the vectors themselves are tested in tests/encoding."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ValidationError

from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.errors import ModelError
from tests.checkpoints import write_encoder


def test_it_is_langchains_embeddings_and_a_pydantic_model(tiny: RDREmbeddings) -> None:
    assert isinstance(tiny, Embeddings)
    assert isinstance(tiny, BaseModel)
    assert RDREmbeddings().model == "rdr-single-trivia"


def test_documents_and_queries_are_lists_of_floats(tiny: RDREmbeddings) -> None:
    documents = tiny.embed_documents(["the river", "the king"])
    assert [len(vector) for vector in documents] == [32, 32]
    assert all(type(x) is float for x in (*documents[0], *tiny.embed_query("who?")))


def test_arrays_are_float32(tiny: RDREmbeddings, passages: list[Passage]) -> None:
    vectors = tiny.encode_passages(passages)
    assert (vectors.shape, vectors.dtype) == ((6, 32), np.float32)
    questions = tiny.encode_questions(["who?", "where?"])
    assert (questions.shape, questions.dtype) == ((2, 32), np.float32)


def test_the_title_is_part_of_a_passage(tiny: RDREmbeddings) -> None:
    with_title, without = tiny.encode_passages(
        [Passage("1", "the king", "river"), Passage("2", "the king")]
    )
    assert np.abs(with_title - without).max() > 0.1
    assert np.allclose(without, tiny.embed_documents(["the king"])[0], atol=1e-5)


def test_async_forms_give_the_same(tiny: RDREmbeddings) -> None:
    async def both() -> tuple[list[list[float]], list[float]]:
        return await tiny.aembed_documents(["the river"]), await tiny.aembed_query("who?")

    documents, query = asyncio.run(both())
    assert documents == tiny.embed_documents(["the river"])
    assert query == tiny.embed_query("who?")


def test_async_forms_do_not_block_the_event_loop(
    tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_continue = threading.Event()
    encode = Encoder.encode

    def waiting(self: Encoder, inputs: list[str]) -> object:
        assert may_continue.wait(10), "the event loop was blocked"
        return encode(self, inputs)

    async def ask() -> list[float]:
        task = asyncio.create_task(tiny.aembed_query("who asks this only here?"))
        await asyncio.sleep(0.01)
        assert not task.done()
        may_continue.set()
        return await task

    monkeypatch.setattr(Encoder, "encode", waiting)
    assert len(asyncio.run(ask())) == 32


def test_truncated_texts_are_logged(tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tiny.embed_documents(["short", "river " * 300])
    assert "1 of 2 texts were longer than max_length" in caplog.text


def test_many_threads_may_share_one(tiny_pair: tuple[str, str]) -> None:
    embeddings = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1])
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(embeddings.embed_query("who?")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(vector == found[0] for vector in found)


def test_encoders_are_loaded_when_first_needed(tiny_pair: tuple[str, str]) -> None:
    started = time.monotonic()
    RDREmbeddings(context_encoder="no/such", question_encoder="no/such")
    assert time.monotonic() - started < 1
    embeddings = RDREmbeddings(context_encoder="./no-such-folder", question_encoder=tiny_pair[1])
    assert len(embeddings.embed_query("who?")) == 32


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(ValidationError):
        RDREmbeddings(modle="demo")


def test_the_fingerprint_depends_on_the_weights_not_on_the_path(
    tiny: RDREmbeddings,
    other: RDREmbeddings,
    tiny_pair: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    copy = tmp_path_factory.mktemp("copy") / "elsewhere"
    shutil.copytree(tiny_pair[0], copy)
    moved = RDREmbeddings(context_encoder=str(copy), question_encoder=tiny_pair[1])
    shorter = RDREmbeddings(
        context_encoder=tiny_pair[0], question_encoder=tiny_pair[1], max_length=128
    )
    assert moved.fingerprint() == tiny.fingerprint()
    assert len({tiny.fingerprint(), other.fingerprint(), shorter.fingerprint()}) == 3


def test_the_identity_holds_a_probe_of_each_side(tiny: RDREmbeddings) -> None:
    identity = tiny.identity()
    assert identity.dimension == len(identity.probe) == len(identity.question_probe) == 32
    assert identity.probe != identity.question_probe
    assert tiny.identity(Side.QUESTION).probe == ()
    assert all(float(f"{x:.4e}") == x for x in identity.probe)


def test_the_identity_of_an_encoder_that_was_loaded_before_needs_no_loading(
    tiny_pair: tuple[str, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_pair[0], tmp_path / "context"))

    def fresh() -> RDREmbeddings:
        return RDREmbeddings(context_encoder=str(folder), question_encoder=tiny_pair[1])

    first, second = fresh(), fresh()
    expected = first.fingerprint(), first.identity(Side.CONTEXT)
    assert (second.fingerprint(), second.identity(Side.CONTEXT)) == expected
    assert first._encoders
    assert not second._encoders
    write_encoder(folder, Side.CONTEXT, seed=3)
    changed = fresh()
    assert changed.fingerprint() != expected[0]
    assert changed.identity(Side.CONTEXT).probe != expected[1].probe


def test_a_repeated_question_is_not_encoded_again(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1])
    first = embeddings.embed_query("who built the city?")
    first_array = embeddings.encode_questions(["who built the city?"])
    first_array += 1.0  # the returned array belongs to the caller
    monkeypatch.setattr(Encoder, "encode", lambda *_: pytest.fail("encoded again"))
    assert embeddings.embed_query("who built the city?") == first
    assert embeddings.embed_query("  who built the city? ") == first
    found = embeddings.encode_questions(["who built the city?"])
    assert found.shape == (1, 32)
    assert np.array_equal(found[0], np.array(first, dtype=np.float32))


@pytest.mark.parametrize("kind", ["pickle", "copy", "deepcopy", "model_copy"])
def test_copies_have_the_same_vectors(tiny_pair: tuple[str, str], kind: str) -> None:
    embeddings = RDREmbeddings(
        context_encoder=tiny_pair[0], question_encoder=tiny_pair[1], max_length=64
    )
    vectors = embeddings.embed_documents(["the river"]), embeddings.embed_query("who?")
    twin: RDREmbeddings = {
        "pickle": lambda: pickle.loads(pickle.dumps(embeddings)),
        "copy": lambda: copy.copy(embeddings),
        "deepcopy": lambda: copy.deepcopy(embeddings),
        "model_copy": lambda: embeddings.model_copy(deep=True),
    }[kind]()
    assert twin is not embeddings
    assert twin.model_dump() == embeddings.model_dump()
    assert (twin.embed_documents(["the river"]), twin.embed_query("who?")) == vectors
    assert twin.fingerprint() == embeddings.fingerprint()


def test_pickled_embeddings_hold_no_weights(tiny: RDREmbeddings) -> None:
    tiny.warm_up()
    assert len(pickle.dumps(tiny)) < 2000


def test_a_changed_copy_uses_the_changed_fields(tiny: RDREmbeddings) -> None:
    tiny.warm_up()
    shorter = tiny.model_copy(update={"max_length": 8})
    assert shorter.encode_passages_counted([Passage("1", "river " * 20)]).truncated == [True]
    with pytest.raises(ModelError, match="leave one of them out"):
        tiny.model_copy(update={"model": "demo"})
