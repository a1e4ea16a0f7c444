"""A collection is created once, checked afterwards and never altered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import EmbeddedQdrant, Passage, RDREmbeddings
from rdr_qdrant.collection import Collection, Point, metadata_filter
from rdr_qdrant.collection.payload import from_payload, to_payload
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.registry import PairIdentity
from tests.conftest import COLLECTION


@pytest.fixture
def identity(tiny: RDREmbeddings) -> PairIdentity:
    return tiny.identity()


def test_a_new_collection_compares_by_dot_product_and_names_the_pair(
    client: QdrantClient, identity: PairIdentity
) -> None:
    Collection(client, COLLECTION).create(identity)
    config = client.get_collection(COLLECTION).config
    assert config.params.vectors.distance == models.Distance.DOT
    assert config.params.vectors.size == 32
    assert config.metadata["rdr_qdrant"] == identity.to_metadata()
    Collection(client, COLLECTION).check(identity)


def test_the_error_for_a_missing_collection_lists_the_others(
    client: QdrantClient, identity: PairIdentity
) -> None:
    with pytest.raises(CollectionError, match=f"No collection '{COLLECTION}' in "):
        Collection(client, COLLECTION).describe()
    Collection(client, f"{COLLECTION}-wiki").create(identity)
    with pytest.raises(CollectionError, match=f"There are: .*{COLLECTION}-wiki"):
        Collection(client, COLLECTION).check(identity)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (models.VectorParams(size=32, distance=models.Distance.COSINE), "Cosine.*Dot"),
        (models.VectorParams(size=32, distance=models.Distance.EUCLID), "Euclid.*Dot"),
        (models.VectorParams(size=48, distance=models.Distance.DOT), "48 numbers.*32"),
        (
            {"dense": models.VectorParams(size=32, distance=models.Distance.DOT)},
            "named vectors 'dense', but the unnamed vector is wanted",
        ),
    ],
)
def test_a_collection_that_does_not_fit_is_refused_with_both_values_and_left_alone(
    client: QdrantClient, identity: PairIdentity, vectors: object, message: str
) -> None:
    client.create_collection(COLLECTION, vectors_config=vectors)
    before = client.get_collection(COLLECTION)
    with pytest.raises(CollectionError, match=message):
        Collection(client, COLLECTION).check(identity, allow_unverified=True)
    assert client.get_collection(COLLECTION) == before


def test_a_named_vector_is_created_and_checked(
    client: QdrantClient, identity: PairIdentity
) -> None:
    Collection(client, COLLECTION, "rdr").create(identity)
    Collection(client, COLLECTION, "rdr").check(identity)
    with pytest.raises(CollectionError, match="named vectors 'rdr', but 'other' is wanted"):
        Collection(client, COLLECTION, "other").check(identity)


def test_an_unnamed_vector_is_not_a_named_one(client: QdrantClient, identity: PairIdentity) -> None:
    Collection(client, COLLECTION).create(identity)
    with pytest.raises(CollectionError, match="one unnamed vector, but 'rdr' is wanted"):
        Collection(client, COLLECTION, "rdr").check(identity)


@pytest.mark.parametrize("sides", [(Side.CONTEXT,), (Side.QUESTION,), tuple(Side)])
def test_another_pair_of_the_same_shape_is_refused_with_both_names(
    client: QdrantClient, tiny: RDREmbeddings, other: RDREmbeddings, sides: tuple[Side, ...]
) -> None:
    Collection(client, COLLECTION).create(tiny.identity())
    with pytest.raises(CollectionError) as error:
        Collection(client, COLLECTION).check(other.identity(*sides))
    assert tiny.pair.label in str(error.value)
    assert other.pair.label in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_length": 128}, "max_length 256, but .* with 128"),
        ({"passage_format": "[CLS] text [SEP]"}, "passage_format"),
    ],
)
def test_another_length_or_passage_format_is_refused(
    client: QdrantClient, identity: PairIdentity, change: dict[str, object], message: str
) -> None:
    Collection(client, COLLECTION).create(identity)
    with pytest.raises(CollectionError, match=message):
        Collection(client, COLLECTION).check(replace(identity, **change))


def _moved(probe: tuple[float, ...], by: float) -> tuple[float, ...]:
    """The probe, moved by a fraction of its length."""
    direction = np.random.default_rng(0).normal(size=len(probe))
    direction *= by * np.linalg.norm(probe) / np.linalg.norm(direction)
    return tuple(np.array(probe) + direction)


def test_the_probe_allows_for_precision_but_not_for_another_encoder(
    client: QdrantClient, identity: PairIdentity
) -> None:
    Collection(client, COLLECTION).create(identity)
    as_int8 = replace(identity, probe=_moved(identity.probe, 0.03))
    Collection(client, COLLECTION).check(as_int8)
    further_trained = replace(identity, probe=_moved(identity.probe, 0.2))
    with pytest.raises(CollectionError, match="vectors of one and the same text differ"):
        Collection(client, COLLECTION).check(further_trained)
    scaled = replace(identity, probe=tuple(2 * x for x in identity.probe))
    with pytest.raises(CollectionError):
        Collection(client, COLLECTION).check(scaled)


def test_a_collection_of_other_software_needs_allow_unverified(
    client: QdrantClient, identity: PairIdentity, caplog: pytest.LogCaptureFixture
) -> None:
    params = models.VectorParams(size=32, distance=models.Distance.DOT)
    client.create_collection(COLLECTION, vectors_config=params)
    with pytest.raises(CollectionError, match="--allow-unverified"):
        Collection(client, COLLECTION).check(identity)
    with caplog.at_level(logging.WARNING):
        Collection(client, COLLECTION).check(identity, allow_unverified=True)
    assert "unverified" in caplog.text


def test_points_come_back_as_they_were_written(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    vectors = tiny.encode_passages(passages)
    ids: list[int | str] = [1, 2, 3, 4, 5, 2**64 - 1]
    collection.points.upsert(
        [
            Point(i, vector, to_payload(passage, "0" * 64))
            for i, vector, passage in zip(ids, vectors, passages, strict=True)
        ]
    )
    records = {r.id: r for r in client.retrieve(COLLECTION, ids, with_vectors=True)}
    for i, vector, passage in zip(ids, vectors, passages, strict=True):
        assert np.abs(np.array(records[i].vector) - vector).max() < 1e-6
        assert from_payload(i, records[i].payload) == passage
    assert collection.points.count() == 6
    assert collection.points.retrieve([1, 99])[1].content_hash == "0" * 64


def test_the_payload_is_what_langchain_reads() -> None:
    passage = Passage("7", "text", "Title", {"source": "s", "year": 1999})
    assert to_payload(passage, "abc") == {
        "page_content": "text",
        "metadata": {"id": "7", "title": "Title", "source": "s", "year": 1999},
        "content_hash": "abc",
    }


def test_an_incomplete_payload_of_other_software_is_read() -> None:
    assert from_payload(5, None) == Passage("5", "", "")
    assert from_payload(5, {"page_content": "t", "metadata": None}) == Passage("5", "t", "")


@pytest.fixture
def filled(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> Callable[..., set[str]]:
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    vectors = tiny.encode_passages(passages)
    points = zip(range(6), vectors, passages, strict=True)
    collection.points.upsert([Point(i, vector, to_payload(p, "")) for i, vector, p in points])

    def found(**conditions: object) -> set[str]:
        [hits] = collection.search(vectors[:1], k=10, filter=metadata_filter(conditions))
        return {hit.passage.id for hit in hits}

    return found


def test_a_description_has_counts_norms_and_no_probe(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    assert collection.describe().norms is None
    vectors = tiny.encode_passages(passages)
    points = zip(range(6), vectors, passages, strict=True)
    collection.points.upsert([Point(i, vector, to_payload(p, "")) for i, vector, p in points])
    found = collection.describe()
    norms = np.linalg.norm(vectors, axis=1)
    assert found.points == 6
    assert found.norms is not None
    expected = [norms.min(), np.median(norms), norms.max()]
    assert np.allclose([found.norms[k] for k in ("min", "median", "max")], expected, atol=1e-3)
    assert (found.disk_bytes is not None) == isinstance(client, EmbeddedQdrant)
    assert "probe" not in found.to_json()["identity"]


def test_filters_by_metadata(filled: Callable[..., set[str]]) -> None:
    assert filled(title="king") == {"a#1", "a#2"}
    assert filled(title="king", source="here") == {"a#1"}
    assert filled(title=["river", "city"]) == {"1", "2"}
    assert filled(year=1999) == {"1"}
    assert filled(year=["1999", 1999]) == {"1"}
    assert filled(year=1999.0) == {"1"}
    assert filled(title="nothing") == set()
