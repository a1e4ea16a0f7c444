"""Filters and payload indexes, also in strict mode."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import (
    CollectionSettings,
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    RDRVectorStore,
    connect_async,
)
from rdr_qdrant.collection import Collection, UntypedValue, collection_state, metadata_filter
from rdr_qdrant.errors import CollectionError, StoreError, UsageError
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION
from tests.support.strict_mode import STRICT

INDEXES = CollectionSettings(payload_indexes={"year": "integer"}, tenant="who")
PASSAGES = [
    Passage("1", "the king", metadata={"year": 2001, "who": "a", "code": "7"}),
    Passage("2", "the city", metadata={"year": 1999, "who": "a", "code": "007"}),
    Passage("3", "the river", metadata={"year": 2001, "who": "b", "code": "8"}),
]


def load(
    client: QdrantClient, tiny: RDREmbeddings, passages: Any = PASSAGES, **options: Any
) -> Any:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, **options)
    return loader.load(passages)


def indexes_of(client: QdrantClient) -> dict[str, str]:
    schema = client.get_collection(COLLECTION).payload_schema
    return {field: index.data_type.value for field, index in schema.items()}


def be_strict(client: QdrantClient) -> None:
    client.update_collection(COLLECTION, strict_mode_config=STRICT)


def found(searched: Any, **options: Any) -> set[str]:
    return {document.id for document in searched.invoke("king", k=10, **options)}


# Payload indexes of an existing collection


def test_payload_indexes_missing_after_an_interrupted_load_are_created_by_the_next(
    server: QdrantClient,
    tiny: RDREmbeddings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dies(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(server, "create_payload_index", dies)
        with pytest.raises(KeyboardInterrupt):
            load(server, tiny, collection_settings=INDEXES)
    assert server.collection_exists(COLLECTION)
    assert indexes_of(server) == {}
    load(server, tiny, collection_settings=INDEXES)
    assert indexes_of(server) == {"metadata.year": "integer", "metadata.who": "keyword"}
    assert server.get_collection(COLLECTION).payload_schema["metadata.who"].params.is_tenant
    assert caplog.messages == [
        f"Collection {COLLECTION!r} has the payload indexes year:integer, who:keyword now"
    ]
    caplog.clear()
    load(server, tiny, collection_settings=INDEXES)
    assert caplog.messages == []


def test_an_index_of_another_type_is_kept_and_reported(
    server: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    load(server, tiny, collection_settings=CollectionSettings(payload_indexes={"year": "keyword"}))
    load(server, tiny, collection_settings=CollectionSettings(payload_indexes={"year": "integer"}))
    assert indexes_of(server) == {"metadata.year": "keyword"}
    [line] = caplog.messages
    assert "payload index year is keyword, not integer. For others, load" in line


def test_a_dry_run_and_a_collection_of_others_get_no_index(
    server: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    load(server, tiny)
    load(server, tiny, collection_settings=INDEXES, dry_run=True)
    assert indexes_of(server) == {}
    assert "has no payload indexes year:integer, who:keyword: filters by them" in caplog.text
    server.delete_collection(COLLECTION)
    size = tiny.identity().dimension
    server.create_collection(COLLECTION, models.VectorParams(size=size, distance="Dot"))
    load(server, tiny, collection_settings=INDEXES, allow_unverified=True)
    assert indexes_of(server) == {}


def test_empty_payload_indexes_are_found(server: QdrantClient, tiny: RDREmbeddings) -> None:
    asked = CollectionSettings(payload_indexes={"year": "keyword", "yeer": "integer"}, tenant="who")
    load(server, tiny, collection_settings=asked)
    idle = Collection(server, COLLECTION).payload_indexes.find_empty(asked)
    assert idle == {"year": "keyword", "yeer": "integer"}


# Filter values


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        (UntypedValue("2001"), "integer", 2001),
        (UntypedValue("2001"), "keyword", "2001"),
        (UntypedValue("007"), "keyword", "007"),
        (UntypedValue("true"), "bool", True),
        (UntypedValue("true"), "keyword", "true"),
        (UntypedValue("2001"), "float", models.Range(gte=2001, lte=2001)),
        ("2001", "integer", 2001),
        (2001, "float", models.Range(gte=2001, lte=2001)),
        (2001, "integer", 2001),
        (True, "bool", True),
        ("none", "integer", "none"),
        (
            UntypedValue("2024-02-01T10:00:00"),
            "datetime",
            models.DatetimeRange(gte=datetime(2024, 2, 1, 10), lte=datetime(2024, 2, 1, 10)),
        ),
        (UntypedValue("not-a-uuid"), "uuid", "not-a-uuid"),
    ],
)
def test_a_value_is_cast_to_the_type_of_its_index(value: Any, kind: str, read: Any) -> None:
    made = metadata_filter({"x": value}, {"metadata.x": kind})
    how = {"range": read} if hasattr(read, "gte") else {"match": models.MatchValue(value=read)}
    assert made.must == [models.FieldCondition(key="metadata.x", **how)]


@pytest.mark.parametrize("indexes", [{}, {"metadata.x": "text"}, {"metadata.y": "integer"}])
def test_an_untyped_value_without_an_index_matches_every_possible_type(
    indexes: dict[str, str],
) -> None:
    [either] = metadata_filter({"x": UntypedValue("2001")}, indexes).must
    assert [condition.match.value for condition in either.should] == ["2001", 2001]
    [either] = metadata_filter({"x": UntypedValue("true")}, indexes).must
    assert [condition.match.value for condition in either.should] == ["true", True]


def test_every_kind_of_search_casts_values_to_the_index_types(
    server: QdrantClient, tiny: RDREmbeddings
) -> None:
    load(server, tiny, collection_settings=INDEXES)
    be_strict(server)
    retriever = RDRRetriever(embeddings=tiny, client=server, collection_name=COLLECTION)
    assert found(retriever, filter={"year": "2001"}) == {"1", "3"}
    assert found(retriever, filter={"year": [2001, "1999"], "who": "a"}) == {"1", "2"}
    [hits] = Collection(server, COLLECTION).search(
        tiny.encode_questions(["king"]), k=10, filter={"year": UntypedValue("1999")}
    )
    assert [hit.passage.id for hit in hits] == ["2"]
    store = RDRVectorStore(server, COLLECTION, tiny)
    documents = store.similarity_search("king", k=10, filter={"year": "2001", "who": ["a", "c"]})
    assert [document.id for document in documents] == ["1"]
    url = str(server._client.rest_uri)

    async def awaited() -> list[Any]:
        client = await connect_async(url=url)
        searched = RDRRetriever(embeddings=tiny, async_client=client, collection_name=COLLECTION)
        documents = await searched.ainvoke("king", k=10, filter={"year": "2001"})
        await client.close()
        return documents

    assert {document.id for document in asyncio.run(awaited())} == {"1", "3"}


def test_an_index_of_the_wrong_type_hides_nothing(
    server: QdrantClient, tiny: RDREmbeddings
) -> None:
    load(server, tiny, collection_settings=CollectionSettings(payload_indexes={"year": "keyword"}))
    vectors = tiny.encode_questions(["king"])
    [hits] = Collection(server, COLLECTION).search(
        vectors, k=10, filter={"year": UntypedValue("2001")}
    )
    assert {hit.passage.id for hit in hits} == {"1", "3"}


def test_filtered_searches_read_the_indexes_once_a_minute(
    server: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(server, tiny, collection_settings=INDEXES)
    looks: list[str] = []
    look = server.get_collection
    monkeypatch.setattr(server, "get_collection", lambda name: looks.append(name) or look(name))
    retriever = RDRRetriever(embeddings=tiny, client=server, collection_name=COLLECTION)
    found(retriever)
    checked = len(looks)
    for _ in range(3):
        found(retriever, filter={"year": "2001"})
    assert len(looks) == checked
    monkeypatch.setattr(collection_state.time, "monotonic", lambda: float("inf"))
    found(retriever)
    assert len(looks) == checked
    found(retriever, filter={"year": "2001"})
    assert len(looks) == checked + 1


# Strict mode


def test_the_error_of_a_filter_in_strict_mode_names_the_missing_index(
    server: QdrantClient, tiny: RDREmbeddings
) -> None:
    load(server, tiny)
    be_strict(server)
    retriever = RDRRetriever(embeddings=tiny, client=server, collection_name=COLLECTION)
    with pytest.raises(StoreError, match="'year' has no index that serves") as raised:
        found(retriever, filter={"year": 2001})
    assert "--payload-index year:TYPE (payload_indexes" in str(raised.value)
    load(server, tiny, collection_settings=CollectionSettings(payload_indexes={"year": "integer"}))
    assert found(retriever, filter={"year": 2001}) == {"1", "3"}


def test_metadata_are_replaced_in_strict_mode_only_where_the_text_is_unchanged(
    server: QdrantClient, tiny: RDREmbeddings
) -> None:
    load(server, tiny)
    be_strict(server)
    changed = [Passage("1", "the king", metadata={"year": 2002}), *PASSAGES[1:]]
    report = load(server, tiny, changed)
    assert (report.updated, report.uploaded) == (1, 0)
    collection = Collection(server, COLLECTION)
    assert collection.points.retrieve([1])[1].metadata["year"] == 2002
    assert collection.points.replace_metadata([(1, "another text by now", {"year": 0})]) == []
    assert collection.points.retrieve([1])[1].metadata["year"] == 2002


def test_pruning_in_strict_mode_makes_the_index_it_needs(
    server: QdrantClient,
    tiny: RDREmbeddings,
    write: Callable[[str, str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [json.dumps({"id": n, "text": f"river {n}"}) + "\n" for n in range(3)]
    path = write("a.jsonl", "".join(rows))
    options = {"embeddings": tiny, "client": server, "collection_name": COLLECTION}
    QdrantLoader(**options).load_sources([open_source(path)])
    be_strict(server)
    write("a.jsonl", rows[0])
    with pytest.raises(CollectionError, match="Add it with --payload-index source"):
        QdrantLoader(**options, dry_run=True).load_sources([open_source(path)], prune=True)
    assert QdrantLoader(**options).load_sources([open_source(path)], prune=True).removed == 2
    assert "has the payload index source:keyword now" in caplog.text


# Half floats


def test_half_floats_score_within_their_rounding(
    client: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load(client, tiny, collection_settings=CollectionSettings(datatype="float16"))
    assert caplog.messages == []
    assert client.get_collection(COLLECTION).config.params.vectors.datatype.value == "float16"
    question = tiny.encode_questions(["king"])
    [hits] = Collection(client, COLLECTION).search(question, k=10)
    exact = tiny.encode_passages(PASSAGES) @ question[0]
    expected = {one.id: float(score) for one, score in zip(PASSAGES, exact, strict=True)}
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.passage.id], rel=2e-3)


# Values that no filter can hold


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ({"account": 98765432109876543210}, "Qdrant compares integers of 64 bits alone"),
        ({"account": 2**63}, "store longer ones as text"),
        ({"account": [1, -(2**63) - 1]}, "store longer ones as text"),
        ({"account": 10**5000}, "store longer ones as text"),
        ({"account": float("nan")}, "no stored number is equal to it"),
        ({"account": float("-inf")}, "no stored number is equal to it"),
        ({"account": "\udcff"}, "not valid Unicode"),
        ({"account": None}, "a value must be a string, a number, true or false"),
        ({7: "x"}, "a metadata key is a string"),
    ],
)
def test_a_value_that_cannot_be_compared_is_refused_in_one_line(
    conditions: dict[Any, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem) as raised:
        metadata_filter(conditions)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "text", ["98765432109876543210", str(2**63), "-98765432109876543210", "9" * 5000]
)
def test_an_untyped_integer_beyond_64_bits_is_compared_as_text(
    client: QdrantClient, tiny: RDREmbeddings, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    load(client, tiny, [Passage("1", "king", metadata={"account": text}), Passage("2", "king")])
    question = tiny.encode_questions(["king"])
    collection = Collection(client, COLLECTION)
    [found] = collection.search(question, k=9, filter={"account": UntypedValue(text)})
    assert [one.passage.id for one in found] == ["1"]
    assert caplog.messages == []
    assert collection.search(question, k=9, filter={"account": UntypedValue(text + "1")}) == [[]]
    [message] = caplog.messages
    assert message.endswith("as text, since Qdrant compares integers of 64 bits alone.")
    assert len(message) < 200


@pytest.mark.parametrize(
    ("text", "kind"),
    [(str(2**63), "integer"), ("9" * 5000, "integer"), ("1e999", "float"), ("nan", "float")],
)
def test_text_out_of_range_of_its_index_is_no_error(text: str, kind: str) -> None:
    for value in (text, UntypedValue(text)):
        assert metadata_filter({"x": value}, {"metadata.x": kind}).must


@pytest.mark.parametrize("text", ["1_000", "１２", " 12", "1_0.5", "infinity", "0x10", "1e999"])
def test_only_plain_numbers_are_numbers(text: str) -> None:
    match = models.MatchValue(value=text)
    expected = [models.FieldCondition(key="metadata.x", match=match)]
    assert metadata_filter({"x": UntypedValue(text)}).must == expected


@pytest.mark.parametrize(
    "options",
    [
        {"k": 10**20},
        {"k": 0},
        {"k": 2.0},
        {"k": 1, "offset": 2**63},
        {"k": 1, "offset": -1},
        {"k": 1, "score_threshold": float("nan")},
        {"k": 1, "score_threshold": float("inf")},
    ],
)
def test_options_out_of_range_are_refused(
    client: QdrantClient, tiny: RDREmbeddings, options: Any
) -> None:
    load(client, tiny)
    with pytest.raises(UsageError, match="it must be"):
        Collection(client, COLLECTION).search(tiny.encode_questions(["king"]), **options)


# Keys that no passage has


YAER = "No passage has the metadata 'yaer'. There are: code, id, title, who, year."


@pytest.fixture
def retriever(client: QdrantClient, tiny: RDREmbeddings) -> RDRRetriever:
    load(client, tiny)
    return RDRRetriever(embeddings=tiny, client=client, collection_name=COLLECTION)


def test_a_search_warns_of_filter_keys_that_no_passage_has(
    retriever: RDRRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(retriever, filter={"yaer": 2001, "who": "a"}) == set()
    assert caplog.messages == [YAER]
    caplog.clear()
    assert found(retriever, filter={"yaer": 1999}) == set()
    assert caplog.messages == [], "looked for within the last minute"
    assert found(retriever, filter={"year": 1, "who": "a"}) == set()
    assert found(retriever, filter={"year": 2001}) == {"1", "3"}
    assert found(retriever, score_threshold=1e9) == set()
    assert caplog.messages == []


def test_the_vector_store_warns_too(
    client: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    load(client, tiny)
    store = RDRVectorStore(client, COLLECTION, tiny)
    assert store.similarity_search("king", filter={"yaer": 2001}) == []
    assert caplog.messages == [YAER]


async def test_an_async_search_warns_too(
    server: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    load(server, tiny)
    client = await connect_async(url=str(server._client.rest_uri))
    retriever = RDRRetriever(embeddings=tiny, async_client=client, collection_name=COLLECTION)
    assert await retriever.ainvoke("king", filter={"yaer": 2001, "year": 2001}) == []
    assert await retriever.ainvoke("king", filter={"year": 1}) == []
    await client.close()
    assert caplog.messages == [YAER]


def test_a_search_that_cannot_be_explained_still_answers(
    server: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    load(server, tiny, collection_settings=INDEXES)
    be_strict(server)
    retriever = RDRRetriever(embeddings=tiny, client=server, collection_name=COLLECTION)
    assert found(retriever, filter={"year": 1}) == set()
    assert caplog.messages == []


def test_nothing_is_said_of_keys_in_an_empty_collection(
    client: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    question = tiny.encode_questions(["king"])
    assert collection.search(question, k=1, filter={"yaer": 1}) == [[]]
    assert caplog.messages == []
