"""RDRVectorStore beyond LangChain's standard tests."""

from __future__ import annotations

import asyncio
import datetime
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from qdrant_client import QdrantClient, models

from rdr_qdrant import (
    EmbeddedQdrant,
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    RDRVectorStore,
    connect,
)
from rdr_qdrant.cli.app import run
from rdr_qdrant.errors import CollectionError, SourceError, StoreError, UsageError
from rdr_qdrant.vectorstore import DocumentsError
from tests.conftest import COLLECTION
from tests.langchain.conftest import AsyncFace
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer

QUESTION = "who built the city?"
DOCUMENTS = [
    Document(
        id="river", page_content="the river is in the north", metadata={"title": "river", "year": 1}
    ),
    Document(id="7", page_content="the old city was built by the king", metadata={"year": 2}),
    Document(page_content="the king found the city", metadata={"title": "king", "year": 2}),
]


@pytest.fixture
def store(client: QdrantClient, tiny: RDREmbeddings) -> RDRVectorStore:
    store = RDRVectorStore(client, COLLECTION, tiny)
    store.add_documents(DOCUMENTS)
    return store


def ids(documents: Sequence[Document]) -> list[str | None]:
    return [document.id for document in documents]


# Adding and getting


def test_titles_go_through_the_context_encoder(store: RDRVectorStore, tiny: RDREmbeddings) -> None:
    passages = [
        Passage("", document.page_content, document.metadata.get("title", ""))
        for document in DOCUMENTS
    ]
    scores = tiny.encode_passages(passages) @ tiny.encode_questions([QUESTION])[0]
    found = store.similarity_search_with_score(QUESTION)
    best = np.argsort(-scores)
    assert [d.page_content for d, _ in found] == [DOCUMENTS[i].page_content for i in best]
    assert np.allclose([score for _, score in found], scores[best], rtol=1e-5)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"id": 1},
        {"id": None, "title": ""},
        {"title": 5, "id": "x"},
        {"title": None, "page": 3, "loc": {"lines": [1, 2.5, None]}},
        {"_given": {"id": 1}, "title": "T", "source": "s"},
    ],
)
def test_metadata_are_returned_unchanged(
    client: QdrantClient, tiny: RDREmbeddings, metadata: dict[str, Any]
) -> None:
    store = RDRVectorStore.from_texts(
        ["the king"], tiny, [metadata], ["any id: ☃"], client=client, collection_name=COLLECTION
    )
    expected = Document(id="any id: ☃", page_content="the king", metadata=metadata)
    assert store.similarity_search("king") == [expected]
    assert store.get_by_ids(["any id: ☃"]) == [expected]


def test_dates_are_stored_as_text(store: RDRVectorStore) -> None:
    [given] = store.add_texts(["the king"], [{"day": datetime.date(1999, 1, 2)}])
    assert store.get_by_ids([given])[0].metadata == {"day": "1999-01-02"}


def test_a_document_without_an_id_gets_one_from_its_content(store: RDRVectorStore) -> None:
    same = store.add_texts(["the king", "the king"], [{"page": 1}, {"page": 1}])
    assert same[0] == same[1]
    assert store.add_texts(["the king", "the king"], [{"page": 1}, {"page": 2}])[0] == same[0]
    pages = [d.metadata["page"] for d in store.similarity_search("king", filter={"page": [1, 2]})]
    assert sorted(pages) == [1, 2]


def test_the_same_id_replaces_and_unchanged_documents_are_not_encoded(
    store: RDRVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Document(id="river", page_content="the river", metadata={"title": "river"})
    store.add_documents([changed])
    assert store.get_by_ids(["river"]) == [changed]
    encoded: list[Passage] = []
    encode = RDREmbeddings.encode_passages_counted

    def counting(self: RDREmbeddings, passages: Sequence[Passage]) -> Any:
        encoded.extend(passages)
        return encode(self, passages)

    monkeypatch.setattr(RDREmbeddings, "encode_passages_counted", counting)
    store.add_documents([changed, DOCUMENTS[1].model_copy(update={"metadata": {"year": 3}})])
    assert {passage.id for passage in encoded} <= {"probe"}
    assert store.get_by_ids(["7"])[0].metadata == {"year": 3}


def test_rejected_documents_are_listed_and_the_others_stored(
    store: RDRVectorStore,
) -> None:
    with pytest.raises(DocumentsError) as raised:
        store.add_texts(
            ["fine", " ", "fine too", "other text", "bad \ud800"],
            [{}, {}, {"n": float("nan")}, {}, {}],
            ["a", "b", "c", "a", "e"],
        )
    message = str(raised.value)
    assert message.startswith(f"3 of 5 documents were not added to '{COLLECTION}', the others were")
    for part in ("number 3 (id 'c'): ", "number 4 (id 'a'): id stands twice", "number 5 (id 'e')"):
        assert part in message
    assert "\n" not in message
    assert ids(store.get_by_ids(["a", "b", "c", "e"])) == ["a"]


def test_the_numbers_of_texts_metadatas_and_ids_must_agree(store: RDRVectorStore) -> None:
    with pytest.raises(UsageError, match="2 texts, 2 metadatas and 1 ids"):
        store.add_texts(["a", "b"], ids=["1"])
    with pytest.raises(UsageError, match="Text 2 is a NoneType"):
        store.add_texts(["a", None])  # type: ignore[list-item]


def test_failed_requests_are_retried(tiny: RDREmbeddings) -> None:
    with QdrantHTTPServer() as server:
        store = RDRVectorStore(connect(url=server.url), COLLECTION, tiny, retry_for=10)
        server.inject(Status(503), times=2, match="PUT .*/points.*")
        assert store.add_texts(["the king"], ids=["1"]) == ["1"]
        assert server.faulted[Status] == 2
        server.inject(Status(503), times=1, match="POST .*/points/delete.*")
        assert store.delete(["1"])
        assert store.get_by_ids(["1"]) == []
        server.inject(Status(503), times=9, match="PUT .*/points.*")
        impatient = RDRVectorStore(connect(url=server.url), COLLECTION, tiny, retry_for=0)
        with pytest.raises(StoreError, match="503"):
            impatient.add_texts(["the king"])


# Searching


def test_filters(store: RDRVectorStore) -> None:
    assert set(ids(store.similarity_search(QUESTION, filter={"year": 2}))) >= {"7"}
    assert ids(store.similarity_search(QUESTION, filter={"year": [1, 5]})) == ["river"]
    narrow = models.Filter(
        must=[models.FieldCondition(key="metadata.year", match=models.MatchValue(value=1))]
    )
    assert ids(store.similarity_search(QUESTION, 4, narrow)) == ["river"]
    [own] = store.add_texts(["the king"], [{"id": 12}], ["document id"])
    for conditions in ({"id": 12}, {"id": "document id"}):
        assert ids(store.similarity_search("king", filter=conditions)) == [own]


@pytest.mark.parametrize("value", [None, [], {"$eq": 1}, [None]])
def test_an_invalid_filter_is_refused(store: RDRVectorStore, value: object) -> None:
    retriever = RDRRetriever(
        embeddings=store.embeddings, client=store.client, collection_name=COLLECTION
    )
    for search in (store.similarity_search, retriever.invoke):
        with pytest.raises(UsageError, match="The filter wants 'year' to be"):
            search(QUESTION, filter={"year": value})
        with pytest.raises(UsageError, match="The filter is a str: it must be a dict"):
            search(QUESTION, filter="year")


def test_thresholds_offsets_and_exact(store: RDRVectorStore, tiny: RDREmbeddings) -> None:
    every = store.similarity_search_with_score(QUESTION, exact=True)
    assert store.similarity_search_with_score(QUESTION, 2, offset=1) == every[1:]
    threshold = every[1][1] - 1e-3
    assert store.similarity_search_with_score(QUESTION, score_threshold=threshold) == every[:2]
    params = models.SearchParams(exact=True)
    assert store.similarity_search_with_score(QUESTION, search_params=params) == every
    vector = tiny.embed_query(QUESTION)
    assert store.similarity_search_with_score_by_vector(vector) == every
    assert store.similarity_search_by_vector(vector, k=1) == [every[0][0]]
    with pytest.raises(UsageError, match="no option hybrid_fusion for a search"):
        store.similarity_search(
            QUESTION, hybrid_fusion=models.FusionQuery(fusion=models.Fusion.RRF)
        )


def test_relevance_is_in_range_and_in_order(store: RDRVectorStore) -> None:
    scored = store.similarity_search_with_score(QUESTION)
    relevant = store.similarity_search_with_relevance_scores(QUESTION)
    assert [d for d, _ in relevant] == [d for d, _ in scored]
    values = [value for _, value in relevant]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3
    assert all(0 < value < 1 for value in values)
    best = store.as_retriever(
        search_type="similarity_score_threshold",
        search_kwargs={"score_threshold": (values[0] + values[1]) / 2},
    )
    assert best.invoke(QUESTION) == [relevant[0][0]]


def test_maximal_marginal_relevance(store: RDRVectorStore) -> None:
    double = Document(
        id="double", page_content="the king found the city", metadata={"title": "king"}
    )
    store.add_documents([double])
    by_relevance = store.similarity_search(QUESTION)
    assert store.max_marginal_relevance_search(QUESTION, lambda_mult=1) == by_relevance
    diverse = store.as_retriever(
        search_type="mmr", search_kwargs={"k": 3, "lambda_mult": 0, "fetch_k": 4}
    ).invoke(QUESTION)
    assert diverse[0] == by_relevance[0]
    assert len({document.page_content for document in diverse}) == 3
    assert store.max_marginal_relevance_search(QUESTION, filter={"year": 99}) == []


async def test_async_searches_find_the_same(
    store: RDRVectorStore, tiny: RDREmbeddings, async_face: AsyncFace
) -> None:
    vector = tiny.embed_query(QUESTION)
    for awaited in (
        store,
        RDRVectorStore(store.client, COLLECTION, tiny, async_client=async_face()),
    ):
        found = await asyncio.gather(
            awaited.asimilarity_search(QUESTION, 2, filter={"year": 2}),
            awaited.asimilarity_search_by_vector(vector, k=1),
            awaited.asimilarity_search_with_score(QUESTION, offset=1),
            awaited.asimilarity_search_with_relevance_scores(QUESTION),
            awaited.amax_marginal_relevance_search(QUESTION, k=2, fetch_k=3),
            awaited.amax_marginal_relevance_search_by_vector(vector, k=2, lambda_mult=0.1),
            awaited.aget_by_ids(["7", "none", "river"]),
            awaited.as_retriever(search_kwargs={"k": 1}).ainvoke(QUESTION),
        )
        assert found == [
            store.similarity_search(QUESTION, 2, filter={"year": 2}),
            store.similarity_search_by_vector(vector, k=1),
            store.similarity_search_with_score(QUESTION, offset=1),
            store.similarity_search_with_relevance_scores(QUESTION),
            store.max_marginal_relevance_search(QUESTION, k=2, fetch_k=3),
            store.max_marginal_relevance_search_by_vector(vector, k=2, lambda_mult=0.1),
            store.get_by_ids(["7", "none", "river"]),
            store.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION),
        ]


async def test_async_searches_use_the_async_client_and_leave_the_loop_free(
    store: RDRVectorStore,
    tiny: RDREmbeddings,
    async_face: AsyncFace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    awaited = RDRVectorStore(store.client, COLLECTION, tiny, async_client=async_face())
    released = threading.Event()
    encode = RDREmbeddings.encode_questions

    def waiting(self: RDREmbeddings, questions: Sequence[str]) -> Any:
        assert released.wait(10), "the event loop was blocked"
        return encode(self, questions)

    def fail(*given: Any, **named: Any) -> None:
        raise AssertionError("the sync client was used")

    monkeypatch.setattr(RDREmbeddings, "encode_questions", waiting)
    monkeypatch.setattr(store.client, "query_batch_points", fail)
    monkeypatch.setattr(store.client, "retrieve", fail)
    monkeypatch.setattr(store.client, "delete", fail)
    task = asyncio.create_task(awaited.asimilarity_search(QUESTION))
    await asyncio.sleep(0.01)
    assert not task.done()
    released.set()
    assert len(await task) == 3
    assert await awaited.adelete(["river"])
    assert await awaited.aget_by_ids(["river"]) == []


# Deleting


def test_delete(store: RDRVectorStore) -> None:
    assert store.delete(["river", "not there"]) is True
    assert store.delete([]) is True
    assert store.delete("7") is True
    assert len(store.similarity_search(QUESTION)) == 1
    with pytest.raises(UsageError, match="delete needs the ids"):
        store.delete()


def test_documents_of_other_software_can_be_read_and_deleted(store: RDRVectorStore) -> None:
    plain = QdrantVectorStore(
        store.client, COLLECTION, store.embeddings, distance=models.Distance.DOT
    )
    [added] = plain.add_documents([Document(page_content="a song", metadata={"id": "mine"})])
    [found] = store.get_by_ids([str(added)])
    assert (found.page_content, found.metadata) == ("a song", {"id": "mine"})
    assert found in store.similarity_search("song")
    assert store.delete([str(found.id)])
    assert len(store.similarity_search("song")) == 3


# LangChain's indexing


def test_index_adds_skips_updates_and_cleans(client: QdrantClient, tiny: RDREmbeddings) -> None:
    store = RDRVectorStore(client, COLLECTION, tiny)
    records = InMemoryRecordManager("tests")
    records.create_schema()

    def indexed(documents: list[Document], **options: Any) -> tuple[int, int, int, int]:
        done = index(
            documents,
            records,
            store,
            source_id_key="source",
            key_encoder="sha256",
            **{"cleanup": "incremental", **options},
        )
        return tuple(done[f"num_{what}"] for what in ("added", "updated", "skipped", "deleted"))

    def page(text: str, source: str) -> Document:
        return Document(page_content=text, metadata={"source": source, "title": "king"})

    first = [page("the king", "a"), page("the city", "a"), page("the river", "b")]
    assert indexed(first) == (3, 0, 0, 0)
    assert indexed(first) == (0, 0, 3, 0)
    assert indexed([page("the king", "a"), page("the old city", "a")]) == (1, 0, 1, 1)
    assert indexed([page("the river", "b")], force_update=True) == (0, 1, 0, 0)
    found = {d.page_content for d in store.similarity_search(QUESTION, k=9)}
    assert found == {"the king", "the old city", "the river"}
    assert indexed([], cleanup="full") == (0, 0, 0, 3)
    assert store.similarity_search(QUESTION) == []


@pytest.mark.parametrize("cleanup", ["incremental", "full", "scoped_full"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_index_leaves_blank_pages_out_and_goes_on(
    store: RDRVectorStore, caplog: pytest.LogCaptureFixture, cleanup: Any, batch_size: int
) -> None:
    records = InMemoryRecordManager("tests")
    records.create_schema()

    def index_pages(*texts: str) -> dict[str, Any]:
        pages = [
            Document(page_content=text, metadata={"source": "book", "page": number})
            for number, text in enumerate(texts)
        ]
        options = {"source_id_key": "source", "key_encoder": "sha256", "batch_size": batch_size}
        return dict(index(pages, records, store, cleanup=cleanup, **options))

    def pages() -> set[str]:
        book = store.similarity_search(QUESTION, k=9, filter={"source": "book"})
        return {document.page_content for document in book}

    index_pages("the first page", " \n", "the third page", "the fourth page")
    assert pages() == {"the first page", "the third page", "the fourth page"}
    [warning] = [record.message for record in caplog.records if "blank" in record.message]
    assert f"documents are blank and were not added to '{COLLECTION}': number " in warning
    assert warning.endswith("): no text")
    assert index_pages("the first page", "", "the third page", "")["num_deleted"] >= 1
    assert pages() == {"the first page", "the third page"}


async def test_aindex(client: QdrantClient, tiny: RDREmbeddings, async_face: AsyncFace) -> None:
    store = RDRVectorStore(client, COLLECTION, tiny, async_client=async_face())
    records = InMemoryRecordManager("tests")
    await records.acreate_schema()
    for expected in (3, 0):
        done = await aindex(DOCUMENTS, records, store, key_encoder="sha256")
        assert done["num_added"] == expected
    done = await aindex([], records, store, cleanup="full", key_encoder="sha256")
    assert done["num_deleted"] == 3


# One collection, whoever made it


def test_what_ingest_made_opens_everywhere(
    tmp_path: Path, tiny_pair: tuple[str, str], tiny: RDREmbeddings
) -> None:
    tsv = tmp_path / "passages.tsv"
    tsv.write_text("id\ttext\ttitle\nr1\tthe river\triver\n2\tthe king built the city\tking\n")
    pair = ["--context-encoder", tiny_pair[0], "--question-encoder", tiny_pair[1]]
    folder = tmp_path / "qdrant"
    assert run(["ingest", str(tsv), "-c", "made", "--path", str(folder), *pair]) == 0
    with EmbeddedQdrant(folder) as client:
        plain = QdrantVectorStore(client, "made", tiny, distance=models.Distance.DOT)
        ours = RDRVectorStore.from_existing_collection("made", tiny, client=client)
        seen = plain.similarity_search_with_score("river")
        found = ours.similarity_search_with_score("river")
        assert [(d.page_content, s) for d, s in seen] == [(d.page_content, s) for d, s in found]
        assert {d.metadata["id"] for d, _ in seen} == {"r1", "2"} == {d.id for d, _ in found}
        [river] = ours.get_by_ids(["r1"])
        assert river.metadata == {"title": "river", "source": str(tsv)}


def test_what_it_filled_is_the_retrievers_and_the_loaders_too(
    store: RDRVectorStore, client: QdrantClient, tiny: RDREmbeddings
) -> None:
    store.add_texts(["the king"], [{"id": 5, "title": None}], ["given"])
    retriever = RDRRetriever(embeddings=tiny, client=client, collection_name=COLLECTION)
    found = {d.id: d.metadata for d in retriever.invoke(QUESTION)}
    assert found["given"].keys() == {"id", "title", "score"}
    assert found["given"]["id"] == "given"
    assert found["river"]["title"] == "river"
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    again = Passage("river", "the river is in the north", "river", {"year": 1})
    report = loader.load([again, Passage("new", "the king")])
    assert (report.unchanged, report.uploaded) == (1, 1)
    plain = QdrantVectorStore(client, COLLECTION, tiny, distance=models.Distance.DOT)
    assert {d.metadata["id"] for d in plain.similarity_search(QUESTION, k=9)} >= {"river", "7"}


# Refusals


def test_a_collection_of_another_pair_is_refused(
    store: RDRVectorStore, other: RDREmbeddings
) -> None:
    wrong = RDRVectorStore(store.client, COLLECTION, other)
    before = store.similarity_search(QUESTION, k=9)
    refused: list[Callable[[], object]] = [
        lambda: wrong.similarity_search(QUESTION),
        lambda: wrong.max_marginal_relevance_search(QUESTION),
        lambda: wrong.similarity_search_by_vector([0.0] * 32),
        lambda: wrong.add_texts(["the king"]),
        lambda: wrong.delete(["river"]),
        lambda: wrong.get_by_ids(["river"]),
        lambda: asyncio.run(wrong.adelete(["river"])),
        lambda: RDRVectorStore.from_existing_collection(COLLECTION, other, client=store.client),
        lambda: RDRVectorStore.from_texts(
            ["a"], other, client=store.client, collection_name=COLLECTION
        ),
    ]
    for call in refused:
        with pytest.raises(CollectionError, match="was made with"):
            call()
    assert store.similarity_search(QUESTION, k=9) == before


def test_a_collection_that_is_not_ours_needs_to_be_allowed(
    client: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    params = models.VectorParams(size=32, distance=models.Distance.DOT)
    client.create_collection(COLLECTION, vectors_config=params)
    strict = RDRVectorStore(client, COLLECTION, tiny)
    for call in (lambda: strict.add_texts(["a"]), lambda: strict.similarity_search("a")):
        with pytest.raises(CollectionError, match="does not say which encoders"):
            call()
    with caplog.at_level(logging.WARNING):
        lenient = RDRVectorStore(client, COLLECTION, tiny, allow_unverified=True)
        assert lenient.add_texts(["the king"], ids=["1"]) == ["1"]
    assert ids(lenient.similarity_search("king")) == ["1"]
    with pytest.raises(CollectionError, match="nothing of it is deleted"):
        RDRVectorStore.from_texts(
            ["a"],
            tiny,
            client=client,
            collection_name=COLLECTION,
            force_recreate=True,
            allow_unverified=True,
        )


def test_force_recreate_deletes_the_old_documents(
    store: RDRVectorStore, tiny: RDREmbeddings
) -> None:
    anew = RDRVectorStore.from_documents(
        DOCUMENTS[:1],
        tiny,
        client=store.client,
        collection_name=COLLECTION,
        force_recreate=True,
    )
    assert ids(anew.similarity_search(QUESTION)) == ["river"]


def test_nothing_is_deleted_for_texts_that_cannot_be_stored(
    store: RDRVectorStore, tiny: RDREmbeddings
) -> None:
    def texts_that_break_off() -> Iterator[str]:
        yield "a river"
        raise OSError("the disk is gone")

    before = store.client.count(COLLECTION).count
    for texts, options, error in (
        (["a", "b"], {"ids": ["one id"]}, UsageError),
        ([5], {}, UsageError),
        (texts_that_break_off(), {}, OSError),
        (["a river"], {"metadatas": [{"x": object()}]}, SourceError),
    ):
        with pytest.raises(error):
            RDRVectorStore.from_texts(
                texts,  # type: ignore[arg-type]
                tiny,
                client=store.client,
                collection_name=COLLECTION,
                force_recreate=True,
                **options,
            )
        assert store.client.count(COLLECTION).count == before > 0


@pytest.mark.parametrize("texts", [[], [" "]])
def test_a_store_of_no_texts_is_there_and_empty(
    store: RDRVectorStore, tiny: RDREmbeddings, texts: list[str]
) -> None:
    for name, recreate in ((COLLECTION, True), (f"{COLLECTION}-new", False)):
        options = {"collection_name": name, "force_recreate": recreate}
        RDRVectorStore.from_texts(texts, tiny, client=store.client, **options)
        assert store.client.count(name).count == 0
    store.client.delete_collection(f"{COLLECTION}-new")


def test_a_missing_collection_is_an_error(client: QdrantClient, tiny: RDREmbeddings) -> None:
    store = RDRVectorStore(client, COLLECTION, tiny)
    with pytest.raises(CollectionError, match=f"No collection '{COLLECTION}'"):
        store.similarity_search(QUESTION)
    with pytest.raises(CollectionError, match=f"No collection '{COLLECTION}'"):
        RDRVectorStore.from_existing_collection(COLLECTION, tiny, client=client)


def test_other_modes_and_options_are_refused_by_name(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    RDRVectorStore(
        client,
        COLLECTION,
        tiny,
        retrieval_mode=RetrievalMode.DENSE,
        distance=models.Distance.DOT,
    )
    for options, message in (
        ({"retrieval_mode": RetrievalMode.HYBRID, "mode": "bm25"}, "The mode is .* and "),
        ({"language": "klingon"}, "BM25 knows no language 'klingon'"),
        ({"mode": "sparse"}, "The mode is 'sparse': give one of dense, bm25, hybrid"),
        ({"sparse_vector_name": "words"}, "sparse_vector_name='bm25', not 'words'"),
        ({"distance": models.Distance.COSINE}, "distance=.*DOT.*COSINE"),
        ({"sparse_embedding": object()}, "The sparse_embedding is object, but"),
        ({"api_kee": "secret"}, "no option 'api_kee'; its docstring"),
    ):
        with pytest.raises(UsageError, match=message) as raised:
            RDRVectorStore(client, COLLECTION, tiny, **options)
        assert "secret" not in str(raised.value)
    with pytest.raises(UsageError, match="DeterministicFakeEmbedding, but RDRVectorStore needs"):
        RDRVectorStore(client, COLLECTION, DeterministicFakeEmbedding(size=32))  # type: ignore
    with pytest.raises(UsageError, match="either a client, or url"):
        RDRVectorStore.from_texts([], tiny, client=client, path="x", collection_name=COLLECTION)


def test_construct_instance_is_refused(tiny: RDREmbeddings) -> None:
    with pytest.raises(UsageError, match="use from_texts"):
        RDRVectorStore.construct_instance(tiny, collection_name=COLLECTION)


def test_a_named_vector(client: QdrantClient, tiny: RDREmbeddings) -> None:
    store = RDRVectorStore.from_documents(
        DOCUMENTS, tiny, client=client, collection_name=COLLECTION, vector_name="rdr"
    )
    assert len(store.similarity_search(QUESTION)) == 3
    assert len(store.max_marginal_relevance_search(QUESTION, k=2)) == 2


def test_by_path(tmp_path: Path, tiny: RDREmbeddings) -> None:
    store = RDRVectorStore.from_documents(
        DOCUMENTS, tiny, path=str(tmp_path / "q"), collection_name="docs"
    )
    assert len(store.similarity_search(QUESTION)) == 3
    store.client.close()


def test_many_threads_may_share_one(client: QdrantClient, tiny: RDREmbeddings) -> None:
    store = RDRVectorStore.from_texts([], tiny, client=client, collection_name=COLLECTION)

    def add_and_search(number: int) -> list[str | None]:
        store.add_texts(
            [f"the king {number} {i}" for i in range(3)], ids=[f"{number}-{i}" for i in range(3)]
        )
        return ids(store.similarity_search(f"the king {number}", filter={"id": f"{number}-1"}))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(add_and_search, range(16)))
    assert found == [[f"{number}-1"] for number in range(16)]
    assert client.count(COLLECTION).count == 48


def test_without_langchain_qdrant_one_line_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['langchain_qdrant'] = None\n"
        "from rdr_qdrant import *\n"
        "import rdr_qdrant\n"
        "try:\n"
        "    rdr_qdrant.RDRVectorStore\n"
        "except rdr_qdrant.RDRQdrantError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == (
        "RDRVectorStore and BM25Embeddings need langchain-qdrant: "
        "pip install -c constraints.txt -e '.[langchain]' in a clone, "
        "or pip install 'rdr-qdrant[langchain]'.\n"
    ), done.stderr
