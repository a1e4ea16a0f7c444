"""Neighbors of hits: as an obvious implementation joins them, within the filter, each once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.collection import Collection, Point, ScoredPassage
from rdr_qdrant.collection.neighbors import join_neighbors, neighbor_ids
from rdr_qdrant.collection.payload import to_payload
from rdr_qdrant.errors import UsageError
from rdr_qdrant.passages import point_id
from rdr_qdrant.splitter import OVERLAP_KEY, SplitSettings, Splitter, part_id, text_and_number
from tests.conftest import COLLECTION

HASH = "0123456789abcdef" * 4
DIMENSION = 32


def store(collection: Collection, passages: Iterable[Passage], vectors: Any = None) -> None:
    """Store passages; by default each next one is a little farther from [1, 0, 0, ...]."""
    passages = list(passages)
    if vectors is None:
        vectors = np.zeros((len(passages), DIMENSION), dtype=np.float32)
        vectors[:, 0] = np.arange(len(passages), 0, -1)
    collection.points.upsert(
        [
            Point(point_id(one.id), vector, to_payload(one, HASH))
            for one, vector in zip(passages, vectors, strict=True)
        ]
    )


def search(collection: Collection, **options: Any) -> list[ScoredPassage]:
    question = np.zeros((1, DIMENSION), dtype=np.float32)
    question[0, 0] = 1
    [hits] = collection.search(question, **{"k": 10, "neighbors": 1, **options})
    return hits


def texts(hits: Iterable[ScoredPassage]) -> dict[str, str]:
    return {hit.passage.id: hit.passage.text for hit in hits}


@pytest.fixture
def collection(client: QdrantClient, tiny: RDREmbeddings) -> Collection:
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    return collection


def parts_of_a_text(name: str, choice: random.Random) -> list[Passage]:
    """Parts of a text in which each word occurs once; each part belongs to a tenant."""
    words = [f"{name.capitalize()}w{number}" for number in range(choice.randrange(1, 120))]
    marked = (f"{word}." if choice.random() < 0.2 else word for word in words)
    text = "".join(f"{word}{choice.choice((' ', ' ', ' ', chr(10)))}" for word in marked)
    splitter = Splitter(SplitSettings(choice.choice((6, 12)), overlap=choice.choice((0, 3))))
    tenant = choice.choice(("one", "two", "either"))
    return [
        replace(
            part,
            metadata={
                **part.metadata,
                "tenant": choice.choice(("one", "two")) if tenant == "either" else tenant,
            },
        )
        for part in splitter.split_passage(Passage(name, text, name))
    ]


def obvious_words(
    hits: Sequence[str], present: dict[str, Passage], neighbors: int
) -> list[tuple[list[str], list[str]]]:
    """For each hit the parts and the words that it should have."""

    def next_to(one: str, step: int) -> str:
        text, number = text_and_number(one) or ("", 0)
        return part_id(text, number + step)

    owner = {hit: hit for hit in hits}
    for hit in hits:
        for side in (-1, 1):
            for distance in range(1, neighbors + 1):
                other = next_to(hit, side * distance)
                if other not in present or other in owner:
                    break
                owner[other] = hit
    expected = []
    for hit in hits:
        mine = [one for one, other in owner.items() if other == hit]
        mine.sort(key=lambda one: (text_and_number(one) or ("", 0))[1])
        words: list[str] = []
        for one in mine:
            before = next_to(one, -1)
            shown = present[before].text.split() if before in owner else []
            words += [word for word in present[one].text.split() if word not in shown]
        expected.append((mine, words))
    return expected


@pytest.mark.parametrize("seed", range(4))
def test_as_an_obvious_implementation_on_random_texts(collection: Collection, seed: int) -> None:
    choice = random.Random(seed)
    parts = [part for number in range(8) for part in parts_of_a_text(f"t{number}", choice)]
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(len(parts), DIMENSION)).astype(np.float32)
    store(collection, parts, vectors)
    deleted = set(choice.sample([part.id for part in parts], len(parts) // 10))
    collection.points.delete([point_id(one) for one in deleted])
    stored = {part.id: part for part in parts if part.id not in deleted}
    for _ in range(6):
        tenant = choice.choice((None, "one", "two"))
        options: dict[str, Any] = {
            "k": choice.choice((1, 3, 10, 40)),
            "filter": {"tenant": tenant} if tenant else None,
        }
        present = {
            one: part for one, part in stored.items() if tenant in (None, part.metadata["tenant"])
        }
        neighbors = choice.choice((1, 2, 5))
        questions = generator.normal(size=(2, DIMENSION)).astype(np.float32)
        plain = collection.search(questions, **options)
        joined = collection.search(questions, neighbors=neighbors, **options)
        for hits, with_neighbors in zip(plain, joined, strict=True):
            ids = [hit.passage.id for hit in hits]
            assert [hit.passage.id for hit in with_neighbors] == ids
            assert [hit.score for hit in with_neighbors] == [hit.score for hit in hits]
            expected = obvious_words(ids, present, neighbors)
            found = [
                (hit.passage.metadata["neighbors"], hit.passage.text.split())
                for hit in with_neighbors
            ]
            assert found == expected
            words = [word for _, some in found for word in some]
            assert len(words) == len(set(words))
            for hit, other in zip(hits, with_neighbors, strict=True):
                own = dict(other.passage.metadata)
                del own["neighbors"]
                assert (own, other.passage.title) == (hit.passage.metadata, hit.passage.title)


def test_one_request_reads_the_neighbors_of_all_hits(
    collection: Collection, client: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(collection, [Passage(f"{text}#{n}", f"{text}{n}") for n in range(1, 6) for text in "ab"])
    calls: list[str] = []
    for name in ("scroll", "retrieve", "query_batch_points"):
        method = getattr(client, name)

        def counted(*given: Any, name: str = name, method: Any = method, **more: Any) -> Any:
            calls.append(name)
            return method(*given, **more)

        monkeypatch.setattr(client, name, counted)
    assert texts(search(collection, k=2)) == {"a#1": "a1 a2", "b#1": "b1 b2"}
    assert calls == ["query_batch_points", "scroll"]
    calls.clear()
    assert texts(search(collection, k=2, neighbors=0)) == {"a#1": "a1", "b#1": "b1"}
    assert calls == ["query_batch_points"]


def test_a_part_of_two_windows_is_in_the_better_hit(collection: Collection) -> None:
    store(collection, [Passage(f"a#{number}", f"w{number}") for number in (4, 2, 1, 3, 5)])
    assert texts(search(collection, k=2)) == {"a#4": "w3 w4 w5", "a#2": "w1 w2"}
    assert texts(search(collection, k=3)) == {"a#4": "w3 w4 w5", "a#2": "w2", "a#1": "w1"}


def test_a_neighbor_of_another_tenant_is_never_shown(collection: Collection) -> None:
    tenants = {1: "a", 2: "b", 3: "a", 4: "a", 5: "b"}
    store(
        collection,
        [Passage(f"t#{n}", f"secret{n}", metadata={"tenant": tenants[n]}) for n in (3, 1, 2, 4, 5)],
    )
    own = models.FieldCondition(key="metadata.tenant", match=models.MatchValue(value="a"))
    for conditions in ({"tenant": "a"}, models.Filter(must=[own]), models.Filter(should=[own])):
        hits = search(collection, k=1, neighbors=5, filter=conditions)
        assert texts(hits) == {"t#3": "secret3 secret4"}
    everything = "secret1 secret2 secret3 secret4 secret5"
    assert texts(search(collection, k=1, neighbors=5)) == {"t#3": everything}


def test_what_a_part_repeats_is_shown_once(collection: Collection) -> None:
    """Also at the seam of two hits, and in scripts without spaces."""
    parts = [
        Passage("a#1", "One. Two."),
        Passage("a#2", "Two.\nThree.", metadata={OVERLAP_KEY: 5}),
        Passage("a#3", "Three.  Four.", metadata={OVERLAP_KEY: 8}),
        Passage("c#1", "他去了。天气。"),
        Passage("c#2", "天气。北京。", metadata={OVERLAP_KEY: 3}),
    ]
    store(collection, parts)
    found = search(collection, k=1, neighbors=2)
    assert texts(found) == {"a#1": "One. Two.\nThree.  Four."}
    assert found[0].passage.metadata == {"neighbors": ["a#1", "a#2", "a#3"]}
    assert texts(search(collection)) == {
        "a#1": "One. Two.",
        "a#2": "Three.",
        "a#3": "Four.",
        "c#1": "他去了。天气。",
        "c#2": "北京。",
    }
    collection.points.delete([point_id("a#1")])
    assert texts(search(collection, k=1)) == {"a#2": "Two.\nThree.  Four."}


def test_a_column_named_overlap_takes_nothing_away(collection: Collection) -> None:
    for value in (3, 400, -1, "3", 2.5, True, None):
        parts = [Passage(f"a#{n}", f"row number {n}", metadata={"overlap": value}) for n in (1, 2)]
        store(collection, parts)
        assert texts(search(collection, k=1)) == {"a#1": "row number 1 row number 2"}


def test_points_of_other_programs_are_neither_joined_nor_changed(
    collection: Collection, client: QdrantClient
) -> None:
    store(collection, [Passage("a#2", "ours"), Passage("whole", "a whole text")])
    foreign = {"page_content": "theirs", "metadata": {"id": "a#1"}}
    other = {"page_content": "a hit of theirs", "metadata": {"id": "a#3"}}
    near, far = [0.5] + [0.0] * 31, [-9.0] + [0.0] * 31
    client.upsert(
        COLLECTION,
        [
            models.PointStruct(id=point_id("a#1"), vector=far, payload=foreign),
            models.PointStruct(id=77, vector=near, payload=other),
        ],
    )
    hits = search(collection, k=3)
    assert texts(hits) == {"a#2": "ours", "whole": "a whole text", "a#3": "a hit of theirs"}
    joined = [hit.passage.metadata.get("neighbors") for hit in hits]
    assert joined == [["a#2"], ["whole"], None]


@pytest.mark.parametrize("neighbors", [-1, 101, "1", 1.0, True, None])
def test_neighbors_is_an_integer_in_its_range(neighbors: Any) -> None:
    with pytest.raises(UsageError, match="neighbors is .* from 0 to 100"):
        neighbor_ids([], neighbors)


@pytest.mark.parametrize("passage_id", ["a#" + "1" * 5000, "a#99999999999999999999", "a#0", "#"])
def test_an_id_that_no_part_has_is_a_whole_text(passage_id: str) -> None:
    payload = to_payload(Passage(passage_id, "text"), HASH)
    hit = models.ScoredPoint(id=point_id(passage_id), version=0, score=1.0, payload=payload)
    [[joined]] = join_neighbors([[hit]], [], 1)
    assert joined.payload is not None
    assert joined.payload["page_content"] == "text"
    assert joined.payload["metadata"]["neighbors"] == [passage_id]
