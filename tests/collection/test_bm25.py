"""BM25: its scores, the modes that use it, and how it comes to a collection that exists."""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.client import RetryPolicy, retry
from rdr_qdrant.collection import (
    BM25_VECTOR,
    Bm25Encoder,
    Collection,
    CollectionSettings,
    Fusion,
    Questions,
)
from rdr_qdrant.collection import bm25_index as bm25_index_module
from rdr_qdrant.collection.bm25 import BM25_KEY
from rdr_qdrant.collection.points import Point, Points
from rdr_qdrant.errors import CollectionError, UsageError
from tests.conftest import COLLECTION
from tests.support.faults import ResetAfter
from tests.support.fixed_encoder import IDENTITY
from tests.support.qdrant_http_server import QdrantHTTPServer

WORDS = "river city king battle music number people north castle water".split()
ENCODER = Bm25Encoder()


def load(client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage], **options: Any) -> Any:
    loader = QdrantLoader(
        embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=16, **options
    )
    return loader.load(passages)


def texts(seed: int, number: int = 40) -> list[Passage]:
    drawn = random.Random(seed)
    return [
        Passage(
            str(n),
            " ".join(drawn.choices(WORDS, k=drawn.randint(1, 12))),
            drawn.choice(["", *WORDS]),
            {"year": drawn.choice([1998, 1999])},
        )
        for n in range(number)
    ]


def stored(client: QdrantClient, name: str = COLLECTION) -> dict[Any, models.Record]:
    points, _ = client.scroll(name, limit=10_000, with_vectors=True)
    return {point.id: point for point in points}


def sparse(point: models.Record) -> dict[int, float] | None:
    vector = point.vector.get(BM25_VECTOR) if isinstance(point.vector, dict) else None
    if vector is None:
        return None
    assert isinstance(vector, models.SparseVector)
    return dict(zip(vector.indices, vector.values, strict=True))


def dense(point: models.Record) -> list[float]:
    return point.vector[""] if isinstance(point.vector, dict) else point.vector  # type: ignore[return-value]


def obvious_scores(corpus: dict[int, Passage], question: str) -> dict[int, float]:
    """BM25 by the book: k 1.2, b 0.75, an average length of 256; stems are the words here."""
    documents = {n: f"{p.title} {p.text}".split() for n, p in corpus.items()}
    frequency = Counter(word for words in documents.values() for word in set(words))
    found: dict[int, float] = {}
    for number, words in documents.items():
        counts = Counter(words)
        score = 0.0
        for word in set(question.split()) & counts.keys():
            n = frequency[word]
            idf = math.log((len(documents) - n + 0.5) / (n + 0.5) + 1)
            norm = 1.2 * (1 - 0.75 + 0.75 * len(words) / 256)
            score += idf * counts[word] * 2.2 / (counts[word] + norm)
        if score:
            found[number] = score
    return found


def by_words(client: QdrantClient, question: str, **options: Any) -> dict[int, float]:
    collection = Collection(client, COLLECTION)
    [hits] = collection.query_points(
        Questions(texts=[question]), **{"k": 1000, "mode": "bm25", **options}
    )
    return {int(hit.id): hit.score for hit in hits}


def test_scores_are_those_of_the_formula(client: QdrantClient, tiny: RDREmbeddings) -> None:
    """Also after updates and deletions; document frequencies are those of the whole collection."""
    corpus = {int(p.id): p for p in texts(1)}
    bm25 = CollectionSettings(bm25="english")
    load(client, tiny, list(corpus.values()), collection_settings=bm25)
    changed = {int(p.id): p for p in texts(2, 20)}
    load(client, tiny, list(changed.values()))
    corpus |= changed
    Collection(client, COLLECTION).points.delete(list(range(10, 25)))
    for number in range(10, 25):
        del corpus[number]
    for question in ("river", "king castle", "north water people king"):
        expected = obvious_scores(corpus, question)
        assert by_words(client, question) == pytest.approx(expected, abs=1e-4)
        of_1999 = {n: s for n, s in expected.items() if corpus[n].metadata["year"] == 1999}
        filtered = by_words(client, question, filter={"year": 1999})
        assert filtered == pytest.approx(of_1999, abs=1e-4)
    ranked = list(by_words(client, "king castle").items())
    assert ranked == sorted(ranked, key=lambda hit: (-hit[1], hit[0]))


def test_dense_search_does_not_change(client: QdrantClient, tiny: RDREmbeddings) -> None:
    corpus = texts(3)
    load(client, tiny, corpus)
    vectors = tiny.encode_questions(["the king", "who?"])
    collection = Collection(client, COLLECTION)

    def found() -> list[list[tuple[Any, float]]]:
        hits = collection.query_points(Questions(vectors), k=40)
        return [[(one.id, one.score) for one in each] for each in hits]

    before, points = found(), stored(client)
    report = collection.bm25.add()
    assert (report.indexed, report.without_words, report.points) == (40, 0, 40)
    assert found() == before
    for one, point in stored(client).items():
        assert dense(point) == dense(points[one])
        assert point.payload == points[one].payload
        assert sparse(point)
    assert Collection(client, COLLECTION).describe().bm25 == {
        **collection.bm25.record().to_json(),  # type: ignore[union-attr]
        "points": 40,
    }
    assert Collection(client, COLLECTION).describe().indexed_vectors in (0, 40)  # in memory: all
    assert collection.bm25.add().indexed == 0
    assert collection.bm25.drop()
    assert found() == before
    assert Collection(client, COLLECTION).describe().bm25 is None
    assert not collection.bm25.drop()
    assert collection.bm25.add("german").language == "german"


def test_a_run_that_is_killed_is_resumed(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, tiny, [*texts(4), Passage("77", "the of and", "")])
    monkeypatch.setattr(bm25_index_module, "PAGE_SIZE", 7)
    update, calls = Points.update_vectors, 0

    def killed(self: Points, *args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise KeyboardInterrupt
        update(self, *args, **options)

    monkeypatch.setattr(Points, "update_vectors", killed)
    assert Collection(client, COLLECTION).bm25.add(dry_run=True).indexed == 40
    assert BM25_KEY not in (client.get_collection(COLLECTION).config.metadata or {})
    ends = 0
    while True:
        try:
            report = Collection(client, COLLECTION).bm25.add("english")
            break
        except KeyboardInterrupt:
            ends += 1
            record = Collection(client, COLLECTION).bm25.record()
            assert record is not None
            assert not record.complete
    assert (ends, report.without_words) == (6, 1)
    points = stored(client)
    assert [n for n, point in points.items() if not sparse(point)] == [77]
    record = Collection(client, COLLECTION).bm25.record()
    assert record is not None
    assert record.complete


def test_a_text_replaced_meanwhile_is_left_to_its_load(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, tiny, texts(5, 3))
    update = Points.update_vectors

    def load_in_between(self: Points, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(Points, "update_vectors", update)
        load(client, tiny, [Passage("1", "a battle", "")])
        update(self, *args, **options)

    monkeypatch.setattr(Points, "update_vectors", load_in_between)
    Collection(client, COLLECTION).bm25.add()
    check_all(client)


def test_what_has_no_bm25_or_another_language_is_refused(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    load(client, tiny, texts(6, 3))
    with pytest.raises(CollectionError, match=f"no BM25.*rdr-qdrant index -c {COLLECTION} --bm25"):
        by_words(client, "king")
    settings = CollectionSettings(bm25="english")
    with pytest.raises(CollectionError, match="has no BM25"):
        load(client, tiny, texts(6, 3), collection_settings=settings)
    collection = Collection(client, COLLECTION)
    with pytest.raises(UsageError, match="no language 'klingon'. It knows: arabic, .*none"):
        collection.bm25.add("klingon")
    with pytest.raises(ValueError, match="no language 'klingon'"):
        CollectionSettings(bm25="klingon")
    collection.bm25.add("german")
    with pytest.raises(CollectionError, match="for german, not for english"):
        collection.bm25.add("english")
    with pytest.raises(CollectionError, match="for german, not for english"):
        load(client, tiny, texts(6, 3), collection_settings=settings)
    with pytest.raises(CollectionError, match="for german, not for french"):
        by_words(client, "king", language="french")
    assert by_words(client, "king", language="german") == by_words(client, "king")


def test_one_that_is_added_later_is_seen_at_once(client: QdrantClient, tiny: RDREmbeddings) -> None:
    load(client, tiny, texts(6, 3))
    searching = Collection(client, COLLECTION)
    with pytest.raises(CollectionError, match="has no BM25"):
        searching.query_points(Questions(texts=["king"]), k=1, mode="bm25")
    Collection(client, COLLECTION).bm25.add()
    searching.query_points(Questions(texts=["king"]), k=1, mode="bm25")


def test_a_sparse_vector_of_others_is_refused(client: QdrantClient, tiny: RDREmbeddings) -> None:
    load(client, tiny, texts(7, 3))
    config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
    client.create_vector_name(COLLECTION, BM25_VECTOR, config)
    theirs = models.SparseVector(indices=[1], values=[1.0])
    client.update_vectors(COLLECTION, [models.PointVectors(id=0, vector={BM25_VECTOR: theirs})])
    collection = Collection(client, COLLECTION)
    with pytest.raises(CollectionError, match="of other software.* Take it away first"):
        collection.bm25.add()
    assert collection.bm25.drop()
    assert collection.bm25.add().indexed == 3


def test_vectors_that_cannot_hold_bm25_are_refused(client: QdrantClient) -> None:
    """An empty sparse vector that is not weighted, and a dense one of the same name."""
    settings = CollectionSettings(bm25="english")
    with pytest.raises(CollectionError, match="the name of the vector of BM25.*--vector-name"):
        Collection(client, COLLECTION, BM25_VECTOR).create(IDENTITY, settings)
    Collection(client, COLLECTION, BM25_VECTOR).create(IDENTITY)
    with pytest.raises(CollectionError, match="dense vector of .* is named 'bm25'"):
        Collection(client, COLLECTION).bm25.add()
    client.delete_collection(COLLECTION)
    collection = Collection(client, COLLECTION)
    collection.create(IDENTITY)
    config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
    client.create_vector_name(COLLECTION, BM25_VECTOR, config)
    with pytest.raises(CollectionError, match="of other software.* Take it away first"):
        collection.bm25.add()


def test_points_deleted_meanwhile_are_left_out(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, tiny, texts(5, 9))
    update = Points.update_vectors

    def delete_in_between(self: Points, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(Points, "update_vectors", update)
        client.delete(COLLECTION, [2, 5])
        update(self, *args, **options)

    monkeypatch.setattr(Points, "update_vectors", delete_in_between)
    Collection(client, COLLECTION).bm25.add()
    points = stored(client)
    assert len(points) == 7
    assert all(sparse(point) for point in points.values())


def check_all(client: QdrantClient) -> None:
    for point in stored(client).values():
        vector = ENCODER.passage(point.payload or {})
        assert vector is not None
        assert sparse(point) == pytest.approx(dict(zip(vector.indices, vector.values, strict=True)))


def test_texts_that_change_places_meanwhile(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a file with a row more at its beginning, whose ids are the rows' numbers."""
    load(client, tiny, [Passage(str(n), f"{word} king", "") for n, word in enumerate(WORDS)])
    update = Points.update_vectors

    def shift_in_between(self: Points, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(Points, "update_vectors", update)
        shifted = ["first", *WORDS[:-1]]
        load(client, tiny, [Passage(str(n), f"{word} king", "") for n, word in enumerate(shifted)])
        update(self, *args, **options)

    monkeypatch.setattr(Points, "update_vectors", shift_in_between)
    Collection(client, COLLECTION).bm25.add()
    check_all(client)


def test_a_point_that_is_deleted_and_written_again_meanwhile(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, tiny, texts(5, 3))
    update = client.update_vectors

    def delete_for_a_moment(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(client, "update_vectors", update)
        point = stored(client)[1]
        client.delete(COLLECTION, [1])
        try:
            return update(*args, **options)
        finally:
            again = models.PointStruct(id=1, vector={"": dense(point)}, payload=point.payload)
            client.upsert(COLLECTION, [again])

    monkeypatch.setattr(client, "update_vectors", delete_for_a_moment)
    assert Collection(client, COLLECTION).bm25.add().indexed == 3
    check_all(client)


def test_an_addition_of_others_that_turns_out_to_be_ours(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load read which vectors there are just before BM25 was recorded, and the vector after."""
    load(client, tiny, texts(5, 3))
    loading = Collection(client, COLLECTION)
    loading.info()
    Collection(client, COLLECTION).bm25.add()
    monkeypatch.setattr(Points, "_other_vector_names", lambda _: [BM25_VECTOR])
    point = stored(client)[1]
    payload = {**(point.payload or {}), "page_content": "a new text"}
    vector = np.array(dense(point), dtype=np.float32)
    loading.points.upsert([Point(1, vector, payload)], existing=[1])
    check_all(client)


def test_a_lost_answer_is_no_error(
    tmp_path: Path, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vector that a lost call made, or took away, exists, or does not, for the next one."""
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)
    with connect(path=tmp_path) as behind, QdrantHTTPServer(behind) as server:
        client = connect(server.url)
        load(client, tiny, texts(5, 3))
        bm25 = Collection(client, COLLECTION, retry=RetryPolicy(30)).bm25
        vector = "/collections/{collection_name}/vectors/{vector_name}"
        server.inject(ResetAfter(), match="PUT .*/vectors/bm25")
        assert bm25.add().indexed == 3
        server.inject(ResetAfter(), match="DELETE .*/vectors/bm25")
        assert bm25.drop()
        assert server.requests[f"PUT {vector}"] == server.requests[f"DELETE {vector}"] == 2


def test_another_language_meanwhile_is_refused(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, tiny, texts(5, 3))
    update = Points.update_vectors

    def overtake(self: Points, *args: Any, **options: Any) -> None:
        collection = Collection(client, COLLECTION)
        collection.record(BM25_KEY, {**collection.recorded(BM25_KEY), "language": "german"})
        update(self, *args, **options)

    monkeypatch.setattr(Points, "update_vectors", overtake)
    with pytest.raises(CollectionError, match="for german, not for english. Take it away"):
        Collection(client, COLLECTION).bm25.add()


def test_a_record_of_another_version_is_refused(client: QdrantClient, tiny: RDREmbeddings) -> None:
    load(client, tiny, texts(8, 3), collection_settings=CollectionSettings(bm25="english"))
    collection = Collection(client, COLLECTION)
    collection.record(BM25_KEY, {**collection.recorded(BM25_KEY), "b": 0.5})
    for call in (
        lambda: by_words(client, "king"),
        lambda: load(client, tiny, texts(9, 3)),
        collection.bm25.add,
    ):
        with pytest.raises(CollectionError, match=r"made otherwise.*\(b\).*--drop-bm25"):
            call()


def test_an_incomplete_one_is_searched_with_a_warning(
    client: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    load(client, tiny, texts(10, 3), collection_settings=CollectionSettings(bm25="english"))
    collection = Collection(client, COLLECTION)
    collection.record(BM25_KEY, {**collection.recorded(BM25_KEY), "complete": False})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            collection.query_points(Questions(texts=["king"]), k=1, mode="bm25")
    assert len([r for r in caplog.records if "may have no BM25 yet" in r.message]) == 1


def test_hybrid_fuses_both_lists(client: QdrantClient, tiny: RDREmbeddings) -> None:
    corpus = texts(11)
    load(client, tiny, corpus, collection_settings=CollectionSettings(bm25="english"))
    collection, text = Collection(client, COLLECTION), "king castle north"
    question = Questions(tiny.encode_questions([text]), [text])
    vectors = tiny.encode_passages(corpus)
    scores = vectors @ question.vectors[0]
    for year in (None, 1999):
        chosen = {"filter": {"year": year}} if year else {}
        dense_list = [
            (int(p.id), float(s))
            for p, s in zip(corpus, scores, strict=True)
            if year in (None, p.metadata["year"])
        ]
        words = list(by_words(client, text, **chosen).items())
        for fusion in (Fusion(), Fusion("rrf"), Fusion("linear", (1.0, 0.3))):
            expected = fusion.fuse(dense_list, words)
            [hits] = collection.query_points(
                question, k=7, offset=2, mode="hybrid", fusion=fusion, **chosen
            )
            found = [(hit.id, hit.score) for hit in hits]
            assert [s for _, s in found] == pytest.approx([s for _, s in expected[2:9]], abs=1e-3)
            assert (hits[0].payload or {})["page_content"]


def test_options_that_mislead_are_refused(client: QdrantClient, tiny: RDREmbeddings) -> None:
    corpus = texts(12, 10)
    load(client, tiny, corpus, collection_settings=CollectionSettings(bm25="english"))
    collection = Collection(client, COLLECTION)
    question = Questions(tiny.encode_questions(["king"]), ["king"])
    with pytest.raises(UsageError, match="score_threshold has no meaning with the fusion dbsf"):
        collection.query_points(question, k=3, mode="hybrid", score_threshold=1.0)
    with pytest.raises(UsageError, match="no mode 'sparse'. Known: dense, bm25, hybrid"):
        collection.query_points(question, k=3, mode="sparse")  # type: ignore[arg-type]
    wrong: Any
    for wrong in ("rrf", ("rrf", 1)):
        with pytest.raises(UsageError, match="fusion is .*must be a Fusion, such as"):
            collection.query_points(question, k=3, mode="hybrid", fusion=wrong)
    for wrong in ("1", float("nan"), [1.0]):
        with pytest.raises(UsageError, match="score_threshold is .*a finite number"):
            collection.query_points(question, k=3, mode="bm25", score_threshold=wrong)
    assert collection.query_points(question, k=3, mode="hybrid", offset=2**63 - 1) == [[]]
    with pytest.raises(UsageError, match="candidates is 0"):
        collection.query_points(question, k=3, mode="hybrid", candidates=0)
    all_hits = by_words(client, "king")
    threshold = float(np.median(list(all_hits.values())))
    expected = {n: s for n, s in all_hits.items() if s >= threshold}
    assert by_words(client, "king", score_threshold=threshold) == expected
    [hits] = collection.query_points(
        question, k=3, mode="hybrid", fusion=Fusion("linear"), score_threshold=1e9
    )
    assert hits == []


def test_a_question_without_known_words(client: QdrantClient, tiny: RDREmbeddings) -> None:
    load(client, tiny, texts(13, 5), collection_settings=CollectionSettings(bm25="english"))
    assert by_words(client, "the of") == {}
    assert by_words(client, "\ud800 \udcff") == {}
    assert by_words(client, "king\udcff \0 north") == by_words(client, "king north")
    question = Questions(tiny.encode_questions(["the of"]), ["the of"])
    [hits] = Collection(client, COLLECTION).query_points(question, k=3, mode="hybrid")
    assert len(hits) == 3


def test_an_old_server_is_refused_with_the_version_it_needs(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, tiny, texts(14, 3))
    monkeypatch.setattr(bm25_index_module, "server_version", lambda client: (1, 17))
    with pytest.raises(CollectionError, match="since 1.18, but the server is 1.17.*--swap-alias"):
        Collection(client, COLLECTION).bm25.add()
    monkeypatch.setattr("rdr_qdrant.collection.collection.server_version", lambda client: (1, 15))
    with pytest.raises(CollectionError, match="BM25 needs Qdrant 1.16.* 1.15"):
        Collection(client, f"{COLLECTION}-2").check_supported(CollectionSettings(bm25="english"))


def test_languages_differ() -> None:
    assert len(ENCODER.document("the foxes, a fox").indices) == 1
    every_word = Bm25Encoder("none")
    assert len(every_word.document("the foxes, a fox").indices) == 4
    assert len(Bm25Encoder("chinese").document("我们昨天在上海见面了").indices) > 2
    assert ENCODER.passage({"page_content": "the of"}) is None
    assert ENCODER.passage({"page_content": 3, "metadata": "x"}) is None
