from __future__ import annotations

import asyncio
import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from rdr_qdrant import (
    CollectionSettings,
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    connect,
)
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import CollectionError, StoreError, UsageError
from rdr_qdrant.searcher import PassageSearcher
from tests.conftest import COLLECTION

QUESTION = "who built the city?"


@pytest.fixture
def retriever(client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]) -> RDRRetriever:
    QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION).load(passages)
    return RDRRetriever(embeddings=tiny, client=client, collection_name=COLLECTION, k=3)


def test_top_passages_have_their_raw_inner_products(
    retriever: RDRRetriever, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    scores = tiny.encode_passages(passages) @ tiny.encode_questions([QUESTION])[0]
    best = np.argsort(-scores)[:3]
    documents = retriever.invoke(QUESTION)
    assert [document.id for document in documents] == [passages[i].id for i in best]
    found = [document.metadata["score"] for document in documents]
    assert np.allclose(found, scores[best], rtol=1e-5)


def test_documents_carry_text_title_and_metadata(retriever: RDRRetriever) -> None:
    document = retriever.invoke(QUESTION, filter=None)[0]
    assert isinstance(document, Document)
    assert {"id", "title", "score"} <= set(document.metadata)
    [river] = RDRRetriever(
        embeddings=retriever.embeddings,
        client=retriever.client,
        collection_name=COLLECTION,
        filter={"title": "river"},
    ).invoke(QUESTION)
    assert river.page_content == "the river is in the north"
    assert river.metadata["year"] == 1999


def test_filters_thresholds_and_depth(retriever: RDRRetriever) -> None:
    def ids(**options: object) -> list[str | None]:
        other = retriever.model_copy(update=options)
        return [document.id for document in RDRRetriever(**dict(other)).invoke(QUESTION)]

    assert set(ids(filter={"title": "king"})) == {"a#1", "a#2"}
    condition = models.FieldCondition(key="metadata.title", match=models.MatchValue(value="king"))
    assert set(ids(filter=models.Filter(must_not=[condition]), k=10)) == {
        "1",
        "2",
        "007",
        "18446744073709551615",
    }
    scores = [document.metadata["score"] for document in retriever.invoke(QUESTION)]
    assert len(ids(score_threshold=scores[1] - 1e-3)) == 2
    assert len(ids(k=1)) == 1


def test_async_and_batch(retriever: RDRRetriever) -> None:
    expected = retriever.invoke(QUESTION)
    assert asyncio.run(retriever.ainvoke(QUESTION)) == expected
    assert retriever.batch([QUESTION, QUESTION]) == [expected, expected]


def test_a_collection_of_another_pair_is_refused(
    retriever: RDRRetriever, other: RDREmbeddings
) -> None:
    wrong = RDRRetriever(embeddings=other, client=retriever.client, collection_name=COLLECTION)
    with pytest.raises(CollectionError, match="was made with"):
        wrong.invoke(QUESTION)


def test_a_missing_collection_is_reported_before_any_encoder_is_loaded(
    client: QdrantClient,
) -> None:
    embeddings = RDREmbeddings(context_encoder="./no", question_encoder="./no")
    with pytest.raises(CollectionError, match=f"No collection '{COLLECTION}'"):
        RDRRetriever(embeddings=embeddings, client=client, collection_name=COLLECTION).invoke("x")


def test_a_searcher_refuses_unknown_options(retriever: RDRRetriever) -> None:
    searcher = PassageSearcher(retriever.embeddings, retriever.client, COLLECTION)
    unknown: dict[str, Any] = {"filtre": {"title": "king"}}
    for search in (searcher.search, lambda *_, **o: asyncio.run(searcher.asearch(*_, **o))):
        with pytest.raises(UsageError, match="no option filtre .*Options: k, filter"):
            search([QUESTION], k=1, **unknown)


def test_searching_does_not_need_the_context_encoder(
    retriever: RDRRetriever, tiny_pair: tuple[str, str]
) -> None:
    embeddings = RDREmbeddings(context_encoder="./no", question_encoder=tiny_pair[1])
    only = RDRRetriever(
        embeddings=embeddings, client=retriever.client, collection_name=COLLECTION, k=3
    )
    assert only.invoke(QUESTION) == retriever.invoke(QUESTION)


def test_scores_of_a_quantized_collection_are_raw_inner_products_by_default(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    QdrantLoader(
        embeddings=tiny,
        client=client,
        collection_name=COLLECTION,
        collection_settings=CollectionSettings.preset("large"),
    ).load(passages)
    exact = np.sort(tiny.encode_passages(passages) @ tiny.encode_questions([QUESTION])[0])[::-1]

    def scores(search_params: models.SearchParams | None = None) -> list[float]:
        retriever = RDRRetriever(
            embeddings=tiny,
            client=client,
            collection_name=COLLECTION,
            k=6,
            search_params=search_params,
        )
        return [document.metadata["score"] for document in retriever.invoke(QUESTION)]

    assert np.allclose(scores(), exact, rtol=1e-5)
    assert np.allclose(scores(models.SearchParams(hnsw_ef=64)), exact, rtol=1e-5)
    quantization = models.QuantizationSearchParams(rescore=False)
    approximate = scores(models.SearchParams(quantization=quantization))
    if isinstance(client, EmbeddedQdrant):  # local mode does not quantize, a server not at once
        assert not np.allclose(approximate, exact, rtol=1e-5)


TITLE = models.FieldCondition(key="metadata.title", match=models.MatchValue(value="nobody"))
TYPO = models.FieldCondition(key="metadata.titel", match=models.MatchValue(value="king"))


@pytest.mark.parametrize(
    "unknown",
    [
        {"titel": "king"},
        {"title": "king", "titel": "king"},
        models.Filter(must=[TYPO]),
        models.Filter(must=TYPO),
        models.Filter(must=[models.Filter(should=[TYPO])]),
        models.Filter(min_should=models.MinShould(conditions=[TYPO], min_count=1)),
    ],
)
def test_a_filter_by_an_unknown_key_is_warned_about(
    retriever: RDRRetriever, caplog: pytest.LogCaptureFixture, unknown: Any
) -> None:
    assert retriever.invoke(QUESTION, filter=unknown) == []
    assert "No passage has the metadata 'titel'. There are: id, " in caplog.text
    assert "title" in caplog.text


@pytest.mark.parametrize(
    "known", [None, {}, {"title": "nobody"}, models.Filter(must=[TITLE]), {"title": "king"}]
)
def test_other_filters_are_not_warned_about(
    retriever: RDRRetriever, caplog: pytest.LogCaptureFixture, known: Any
) -> None:
    retriever.invoke(QUESTION, filter=known)
    retriever.invoke(QUESTION, filter=known, score_threshold=1e9)
    assert "No passage has the metadata" not in caplog.text


def test_a_deep_copy_shares_the_client(retriever: RDRRetriever) -> None:
    expected = retriever.invoke(QUESTION)
    twin = copy.deepcopy(retriever)
    assert twin is not retriever
    assert twin.client is retriever.client
    assert twin.invoke(QUESTION) == expected


def test_a_pickled_retriever_connects_again(
    tmp_path: Path, tiny: RDREmbeddings, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = connect(path="folder")
    QdrantLoader(embeddings=tiny, client=client, collection_name="c").load(passages)
    retriever = RDRRetriever(embeddings=tiny, client=client, collection_name="c", k=2)
    expected, pickled = retriever.invoke(QUESTION), pickle.dumps(retriever)
    client.close()
    monkeypatch.chdir("/")
    twin = pickle.loads(pickle.dumps(pickle.loads(pickled)))
    assert twin.invoke(QUESTION) == expected
    assert asyncio.run(twin.ainvoke(QUESTION)) == expected
    twin.client.close()
    twin = pickle.loads(pickled)
    assert asyncio.run(twin.ainvoke(QUESTION)) == expected
    twin.client.close()


@pytest.mark.filterwarnings("ignore:Api key is used")
@pytest.mark.parametrize("cls", [QdrantClient, AsyncQdrantClient])
def test_a_pickled_retriever_holds_no_key(tiny: RDREmbeddings, cls: type) -> None:
    client = cls(url="http://localhost:1", api_key="very-secret", check_compatibility=False)
    field = "client" if cls is QdrantClient else "async_client"
    retriever = RDRRetriever(embeddings=tiny, collection_name="c", **{field: client})
    pickled = pickle.dumps(retriever)
    assert b"very-secret" not in pickled
    with pytest.raises(StoreError, match="http://localhost:1"):
        pickle.loads(pickled).invoke(QUESTION)


@pytest.mark.parametrize(
    "options",
    [
        {"location": ":memory:"},
        {"host": "localhost", "check_compatibility": False},
        {"url": "http://u:very-secret@localhost:1", "check_compatibility": False},
        {"url": "http://localhost:1", "headers": {"a": "b"}, "check_compatibility": False},
    ],
)
def test_a_client_that_cannot_be_opened_again_is_not_pickled(
    tiny: RDREmbeddings, options: dict[str, object]
) -> None:
    retriever = RDRRetriever(embeddings=tiny, collection_name="c", client=QdrantClient(**options))
    with pytest.raises(UsageError) as error:
        pickle.dumps(retriever)
    assert "very-secret" not in str(error.value)
