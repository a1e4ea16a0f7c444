"""A collection of another pair is named before, or instead of, a failure to load the encoders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, RDRRetriever, RDRVectorStore
from rdr_qdrant.collection import Collection
from rdr_qdrant.embedded import AsyncEmbeddedQdrant, EmbeddedQdrant
from rdr_qdrant.errors import CollectionError, ModelError
from rdr_qdrant.registry import PairIdentity

USES: dict[str, Callable[[EmbeddedQdrant, RDREmbeddings], Any]] = {
    "search": lambda client, pair: RDRRetriever(
        embeddings=pair, client=client, collection_name="c"
    ).invoke("who?"),
    "async search": lambda client, pair: asyncio.run(
        RDRRetriever(embeddings=pair, async_client=_async(client), collection_name="c").ainvoke("?")
    ),
    "load": lambda client, pair: QdrantLoader(
        embeddings=pair, client=client, collection_name="c"
    ).load([Passage(id="1", text="a text")]),
    "store": lambda client, pair: RDRVectorStore.from_existing_collection("c", pair, client=client),
}


def _async(client: EmbeddedQdrant) -> AsyncQdrantClient:
    return AsyncEmbeddedQdrant.from_client(client)


@pytest.fixture
def identity(tiny: RDREmbeddings) -> PairIdentity:
    return tiny.identity()


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedQdrant:
    return EmbeddedQdrant(tmp_path)


@pytest.mark.parametrize("use", USES)
def test_another_named_pair_is_refused_and_nothing_is_loaded(
    store: EmbeddedQdrant, identity: PairIdentity, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    Collection(store, "c").create(replace(identity, label="demo"))
    monkeypatch.setattr(RDREmbeddings, "identity", lambda *args: pytest.fail("it was loaded"))
    with store, pytest.raises(CollectionError) as error:
        USES[use](store, RDREmbeddings())
    assert "'c' was made with demo, not with rdr-single-trivia" in str(error.value)
    assert "--model demo" in str(error.value)


@pytest.mark.parametrize("use", USES)
def test_encoders_that_cannot_be_loaded_do_not_hide_the_pair_of_the_collection(
    store: EmbeddedQdrant, identity: PairIdentity, tmp_path: Path, use: str
) -> None:
    Collection(store, "c").create(replace(identity, label="mine + yours"))
    pair = RDREmbeddings(context_encoder=str(tmp_path / "a"), question_encoder=str(tmp_path / "b"))
    with store, pytest.raises(ModelError, match="Collection 'c' was made with mine \\+ yours"):
        USES[use](store, pair)


def test_encoders_of_the_same_name_fail_as_they_are(
    store: EmbeddedQdrant, identity: PairIdentity, tmp_path: Path
) -> None:
    pair = RDREmbeddings(context_encoder=str(tmp_path / "a"), question_encoder=str(tmp_path / "b"))
    Collection(store, "c").create(replace(identity, label=pair.pair_label))
    with store, pytest.raises(ModelError) as error:
        USES["search"](store, pair)
    assert "was made with" not in str(error.value)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (models.VectorParams(size=3, distance=models.Distance.COSINE), "compares by Cosine"),
        ({"a": models.VectorParams(size=3, distance=models.Distance.DOT)}, "named vectors 'a'"),
    ],
)
def test_a_vector_that_no_pair_fits_is_refused_and_nothing_is_loaded(
    store: EmbeddedQdrant, monkeypatch: pytest.MonkeyPatch, use: str, vectors: Any, said: str
) -> None:
    store.create_collection("c", vectors)
    monkeypatch.setattr(RDREmbeddings, "identity", lambda *args: pytest.fail("it was loaded"))
    with store, pytest.raises(CollectionError, match=said):
        USES[use](store, RDREmbeddings())
