"""Collections, their settings, metadata, aliases and payload indexes, the same in every store."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from rdr_qdrant.client.capabilities import server_address, server_version
from rdr_qdrant.embedded import EmbeddedQdrant, NotSupportedError

Refused = Callable[..., Any]
PARAMS = models.VectorParams(size=4, distance=models.Distance.DOT)


def test_a_collection_exists_between_creation_and_deletion(client: QdrantClient, name: str) -> None:
    assert not client.collection_exists(name)
    assert client.create_collection(name, PARAMS) is True
    assert client.collection_exists(name)
    assert name in [one.name for one in client.get_collections().collections]
    assert client.delete_collection(name) is True
    assert not client.collection_exists(name)
    assert client.delete_collection(name) is False


def test_get_collection_returns_the_settings(client: QdrantClient, name: str) -> None:
    client.create_collection(name, PARAMS, metadata={"pair": "rdr", "probe": [0.5, 1]})
    client.upsert(name, [models.PointStruct(id=i, vector=[1.0] * 4) for i in range(3)])
    info = client.get_collection(name)
    assert isinstance(info, models.CollectionInfo)
    assert info.config.params.vectors.size == 4
    assert info.config.params.vectors.distance == models.Distance.DOT
    assert info.config.metadata == {"pair": "rdr", "probe": [0.5, 1]}
    assert (info.points_count, info.status) == (3, models.CollectionStatus.GREEN)
    assert info.payload_schema == {}


def test_an_unknown_collection_is_named(client: QdrantClient, refused: Refused) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: client.get_collection("nowhere"),
        lambda: client.count("nowhere"),
        lambda: client.scroll("nowhere"),
        lambda: client.query_points("nowhere", [1.0]),
        lambda: client.retrieve("nowhere", [1]),
        lambda: client.delete("nowhere", [1]),
        lambda: client.upsert("nowhere", [models.PointStruct(id=1, vector=[1.0])]),
        lambda: client.update_collection("nowhere", metadata={}),
    ]
    for call in calls:
        with refused("nowhere"):
            call()


def test_a_taken_name_is_refused(client: QdrantClient, name: str, refused: Refused) -> None:
    client.create_collection(name, PARAMS)
    with refused("already exists"):
        client.create_collection(name, PARAMS)


@pytest.mark.parametrize("bad", ["../x", "a/b", "a\\b", "", ".", "..", "a:b", "x" * 256, "a\0b"])
def test_names_that_could_be_paths_are_refused(
    client: QdrantClient, refused: Refused, bad: str
) -> None:
    in_process = server_address(client) is None
    with refused("Collection name" if in_process else None):
        client.create_collection(bad, PARAMS)
    if in_process:
        with refused("not found"):
            client.get_collection(bad)
    else:  # with dots or nothing the path is that of another call, whose answer is no collection
        with pytest.raises((ValueError, UnexpectedResponse, ResponseHandlingException)):
            client.get_collection(bad)


@pytest.mark.parametrize(
    "good", ["Wiki", "wiki", "näme mit Leerzeichen", "x" * 255, "a.b", "-", "%2F"]
)
def test_other_names_are_kept_apart(client: QdrantClient, good: str) -> None:
    before = {one.name for one in client.get_collections().collections}
    client.create_collection(good, PARAMS)
    client.create_collection(good[:-1] + "_", PARAMS)
    after = {one.name for one in client.get_collections().collections}
    assert after - before == {good, good[:-1] + "_"}
    client.delete_collection(good)
    client.delete_collection(good[:-1] + "_")


def test_metadata_is_merged_and_null_removes(client: QdrantClient, name: str) -> None:
    client.create_collection(name, PARAMS, metadata={"a": 1, "b": {"c": 2}})
    client.update_collection(name, metadata={"b": {"d": 3}, "e": "f"})
    assert client.get_collection(name).config.metadata == {"a": 1, "b": {"d": 3}, "e": "f"}
    client.update_collection(name, metadata={"a": None})
    assert client.get_collection(name).config.metadata == {"b": {"d": 3}, "e": "f"}


def test_aliases_stand_for_their_collection(
    client: QdrantClient, name: str, refused: Refused
) -> None:
    client.create_collection(name, PARAMS)
    alias, other = f"{name}-alias", f"{name}-other"

    def change(*operations: Any) -> bool:
        return client.update_collection_aliases(list(operations))

    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
    )
    assert change(create) is True
    client.upsert(alias, [models.PointStruct(id=1, vector=[1.0] * 4)])
    assert client.count(name).count == client.count(alias).count == 1
    assert [a.alias_name for a in client.get_collection_aliases(name).aliases] == [alias]
    assert alias in [a.alias_name for a in client.get_aliases().aliases]
    rename = models.RenameAlias(old_alias_name=alias, new_alias_name=other)
    change(models.RenameAliasOperation(rename_alias=rename))
    assert client.count(other).count == 1
    with refused():
        client.count(alias)
    missing = models.CreateAlias(collection_name="nowhere", alias_name="z")
    with refused("nowhere"):
        change(models.CreateAliasOperation(create_alias=missing))
    with refused("already exists"):
        client.create_collection(other, PARAMS)
    change(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=other)))
    assert client.get_collection_aliases(name).aliases == []


def test_deleting_a_collection_deletes_its_aliases(client: QdrantClient, name: str) -> None:
    client.create_collection(name, PARAMS)
    create = models.CreateAlias(collection_name=name, alias_name=f"{name}-a")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    client.delete_collection(name)
    assert f"{name}-a" not in [a.alias_name for a in client.get_aliases().aliases]


@pytest.mark.parametrize("size", [0, -1, 65537])
def test_impossible_sizes_are_refused(
    client: QdrantClient, name: str, size: int, refused: Refused
) -> None:
    params = models.VectorParams.model_construct(size=size, distance=models.Distance.DOT)
    with refused():
        client.create_collection(name, params)
    assert not client.collection_exists(name)


@pytest.mark.parametrize("vectors", [None, {}])
def test_a_collection_without_vectors_is_refused_by_name(
    embedded: EmbeddedQdrant, vectors: Any
) -> None:
    with pytest.raises(NotSupportedError, match="a collection without vectors; declare at least"):
        embedded.create_collection("c", vectors)
    assert embedded.get_collections().collections == []


def test_searches_are_the_same_with_and_without_payload_indexes(
    client: QdrantClient, name: str
) -> None:
    client.create_collection(name, PARAMS)
    points = [
        models.PointStruct(
            id=i, vector=[float(i), 1.0, 0.0, 0.0], payload={"n": i % 3, "t": f"word {i % 2}"}
        )
        for i in range(30)
    ]
    client.upsert(name, points)
    chosen = models.Filter(
        must=[
            models.FieldCondition(key="n", range=models.Range(gte=1)),
            models.FieldCondition(key="t", match=models.MatchText(text="word 1")),
        ]
    )
    before = client.query_points(name, [1.0] * 4, query_filter=chosen).points
    client.create_payload_index(name, "n", models.PayloadSchemaType.INTEGER)
    text = models.TextIndexParams(type=models.TextIndexType.TEXT, phrase_matching=True)
    client.create_payload_index(name, "t", text)
    after = client.query_points(name, [1.0] * 4, query_filter=chosen).points
    assert [p.id for p in before] == [p.id for p in after]
    assert len(after) == 10
    client.delete_payload_index(name, "n")
    assert client.count(name, chosen).count == 10


def test_migrate_brings_collections_into_every_store(client: QdrantClient, name: str) -> None:
    source = QdrantClient(":memory:")
    source.create_collection(name, PARAMS, metadata={"a": 1})
    source.upsert(
        name, [models.PointStruct(id=i, vector=[float(i)] * 4, payload={"i": i}) for i in range(9)]
    )
    source.migrate(client, [name])
    assert client.count(name).count == 9
    assert client.get_collection(name).config.metadata == {"a": 1}
    back = QdrantClient(":memory:")
    client.migrate(back, [name])
    assert back.count(name).count == 9


def test_named_vectors_are_added_and_deleted(
    client: QdrantClient, name: str, refused: Refused
) -> None:
    if (server_version(client) or (1, 18)) < (1, 18):
        pytest.skip("a server adds and deletes named vectors since 1.18")
    client.create_collection(name, {"x": PARAMS})
    added = models.DenseVectorConfig(size=3, distance=models.Distance.DOT)
    client.create_vector_name(name, "y", models.DenseVectorNameConfig(dense=added))
    client.upsert(name, [models.PointStruct(id=1, vector={"y": [1.0, 2.0, 3.0]})])
    assert set(client.get_collection(name).config.params.vectors) == {"x", "y"}
    assert len(client.query_points(name, [1.0, 0.0, 0.0], using="y").points) == 1
    client.delete_vector_name(name, "y")
    assert set(client.get_collection(name).config.params.vectors) == {"x"}
    with refused():
        client.upsert(name, [models.PointStruct(id=2, vector={"y": [1.0, 2.0, 3.0]})])


def test_calls_that_meet_the_deletion_of_their_collection_say_not_found(
    embedded: EmbeddedQdrant,
) -> None:
    point = models.PointStruct(id=1, vector=[1.0] * 4, payload={"a": 1})
    index = models.PayloadSchemaType.INTEGER
    calls: list[Callable[[], Any]] = [
        lambda: embedded.upsert("c", [point]),
        lambda: embedded.query_points("c", [1.0] * 4),
        lambda: embedded.count("c"),
        lambda: embedded.update_collection("c", metadata={"a": 1}),
        lambda: embedded.create_payload_index("c", "a", index),
        lambda: embedded.get_collection("c"),
        lambda: embedded.disk_bytes("c"),
    ]
    unexpected: list[BaseException] = []
    finished = threading.Event()

    def call(seed: int) -> None:
        choice = random.Random(seed)
        while not finished.is_set():
            try:
                choice.choice(calls)()
            except ValueError as error:
                if "not found" not in str(error):
                    unexpected.append(error)
            except BaseException as error:
                unexpected.append(error)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        embedded.create_collection("c", PARAMS)
        embedded.upsert("c", [point])
        embedded.delete_collection("c")
    finished.set()
    for thread in threads:
        thread.join()
    assert [str(error) for error in unexpected] == []


def test_changes_of_metadata_at_the_same_time_all_arrive(embedded: EmbeddedQdrant) -> None:
    embedded.create_collection("c", PARAMS)
    index = models.PayloadSchemaType.INTEGER

    def change(number: int) -> None:
        embedded.update_collection("c", metadata={f"key{number}": number})
        embedded.create_payload_index("c", f"field{number}", index)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    info = embedded.get_collection("c")
    assert info.config.metadata == {f"key{number}": number for number in range(8)}
    assert sorted(info.payload_schema) == [f"field{number}" for number in range(8)]
