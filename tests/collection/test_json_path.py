"""Metadata keys that are no plain names: filtered, indexed and made a tenant all the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from qdrant_client import QdrantClient, models

from rdr_qdrant import CollectionSettings, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection, UntypedValue, metadata_filter
from rdr_qdrant.collection.json_path import metadata_key, metadata_paths
from rdr_qdrant.collection.qdrant_params import read_settings
from rdr_qdrant.errors import StoreError, UsageError
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION
from tests.support.strict_mode import STRICT

ODD_KEYS = ["author.name", "Publication Year", "tags[]", "a[0]", "a..b", "50%", "l'auteur", "é", ""]


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("year", ["metadata.year"]),
        ("x-y_1", ["metadata.x-y_1"]),
        ("Jahrgänge", ["metadata.Jahrgänge"]),
        ("author.name", ['metadata."author.name"', "metadata.author.name"]),
        ("tags[]", ['metadata."tags[]"', "metadata.tags[]"]),
        ("a[].b[0]", ['metadata."a[].b[0]"', "metadata.a[].b[0]"]),
        ("Publication Year", ['metadata."Publication Year"']),
        ("a..b", ['metadata."a..b"']),
        (".", ['metadata."."']),
        ('"author.name"', ['metadata."author.name"']),
        ('a."b.c"', ['metadata.a."b.c"']),
    ],
)
def test_a_key_is_quoted_where_it_must_be(key: str, paths: list[str]) -> None:
    assert metadata_paths(key) == paths
    assert metadata_key(paths[-1]) in (key, key.strip('"'))


def test_a_path_outside_the_metadata_has_no_key() -> None:
    assert metadata_key("content_hash") is None
    assert metadata_key('metadata."50%"') == "50%"


@pytest.mark.parametrize("key", ['12" records', "back\\slash", '"', '"a', 'a"b"'])
def test_a_key_that_no_path_can_hold_is_refused_before_anything_is_created(key: str) -> None:
    with pytest.raises(UsageError, match="Rename the column"):
        metadata_filter({key: 1})
    with pytest.raises(ValidationError, match="Rename the column"):
        CollectionSettings(tenant=key)
    with pytest.raises(UsageError) as raised:
        CollectionSettings.from_options(None, payload_indexes=[f"{key}:keyword"])
    assert "\n" not in str(raised.value)


@pytest.fixture
def loaded(client: QdrantClient, tiny: RDREmbeddings) -> Collection:
    metadata: list[dict[str, Any]] = [
        {**dict.fromkeys(ODD_KEYS, "x"), "n": 1},
        {**dict.fromkeys(ODD_KEYS, "y"), "n": 2},
        {"author": {"name": "x"}, "a": ["x"], "tags": ["x"], "n": 3},
    ]
    passages = [Passage(str(one["n"]), f"king {one['n']}", metadata=one) for one in metadata]
    QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION).load(passages)
    return Collection(client, COLLECTION)


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("value", ["x", ["x"], UntypedValue("x")])
def test_any_column_can_be_filtered_by(
    loaded: Collection, tiny: RDREmbeddings, key: str, value: Any
) -> None:
    [found] = loaded.search(tiny.encode_questions(["king"]), k=9, filter={key: value})
    nested = {"3"} if key in ("author.name", "a[0]", "tags[]") else set()
    assert {one.passage.id for one in found} == {"1"} | nested
    assert loaded.explain_no_results({key: value}) is None


def test_a_quoted_key_is_the_column_alone(loaded: Collection, tiny: RDREmbeddings) -> None:
    question = tiny.encode_questions(["king"])
    [found] = loaded.search(question, k=9, filter={'"author.name"': "x"})
    assert [one.passage.id for one in found] == ["1"]


def test_keys_that_nobody_has_are_unknown(loaded: Collection) -> None:
    unknown = ["author.names", "Publication Years", "tags[].x"]
    message = loaded.explain_no_results(dict.fromkeys(["n", *unknown], 0))
    assert message is not None
    assert message.startswith(f"No passage has the metadata {', '.join(map(repr, unknown))}. ")


def test_odd_columns_of_a_file_are_tenant_and_indexes(
    server: QdrantClient,
    tiny: RDREmbeddings,
    write: Callable[[str, str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = write(
        "a.csv",
        "id,text,author.name,Publication Year,tags[]\n"
        "1,king one,Ann,1999,a\n"
        "2,king two,Bob,2001,b\n",
    )
    settings = CollectionSettings.from_options(
        None, payload_indexes=["author.name", "tags[]:keyword"], tenant="Publication Year"
    )
    loader = QdrantLoader(
        embeddings=tiny, client=server, collection_name=COLLECTION, collection_settings=settings
    )
    with caplog.at_level(logging.WARNING):
        loader.load_sources([open_source(source)])
        loader.load_sources([open_source(source)])
    assert caplog.messages == []
    collection = Collection(server, COLLECTION)
    found = read_settings(collection.info())
    assert found.tenant == "Publication Year"
    assert dict(found.payload_indexes) == dict.fromkeys(
        ["author.name", "tags[]", "Publication Year"], "keyword"
    )
    assert collection.payload_indexes.find_empty(settings) == {}
    server.update_collection(COLLECTION, strict_mode_config=STRICT)
    question = tiny.encode_questions(["king"])
    for key, value in {"author.name": "Bob", "Publication Year": "2001", "tags[]": "b"}.items():
        [hits] = collection.search(question, k=9, filter={key: UntypedValue(value)})
        assert [one.passage.id for one in hits] == ["2"]


def test_nested_metadata_are_indexed_by_the_same_name(
    server: QdrantClient, tiny: RDREmbeddings
) -> None:
    settings = CollectionSettings(payload_indexes={"author.name": "keyword"})
    loader = QdrantLoader(
        embeddings=tiny, client=server, collection_name=COLLECTION, collection_settings=settings
    )
    loader.load([Passage("1", "king", metadata={"author": {"name": "Ann"}})])
    collection = Collection(server, COLLECTION)
    assert collection.payload_indexes.find_empty(settings) == {}
    question = tiny.encode_questions(["king"])
    collection.check(tiny.identity())
    made = metadata_filter({"author.name": "Ann"}, {"metadata.author.name": "keyword"})
    match = models.MatchValue(value="Ann")
    assert made.must == [models.FieldCondition(key="metadata.author.name", match=match)]
    [hits] = collection.search(question, k=9, filter={"author.name": "Ann"})
    assert [one.passage.id for one in hits] == ["1"]


def test_the_error_of_strict_mode_names_an_odd_key(
    server: QdrantClient, tiny: RDREmbeddings
) -> None:
    loader = QdrantLoader(embeddings=tiny, client=server, collection_name=COLLECTION)
    loader.load([Passage("1", "king", metadata={"Publication Year": 1999})])
    server.update_collection(COLLECTION, strict_mode_config=STRICT)
    with pytest.raises(StoreError, match="'Publication Year' has no index that serves"):
        Collection(server, COLLECTION).search(
            tiny.encode_questions(["king"]), k=1, filter={"Publication Year": 1999}
        )
