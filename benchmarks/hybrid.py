"""Hybrid retrieval: which fusion to take, what BM25 costs on a collection that exists, latency.

    python benchmarks/hybrid.py fusion ../shared/data/xquad [--without-titles]
    python benchmarks/hybrid.py index --passages 10000
    python benchmarks/hybrid.py latency --passages 100000

`fusion` chooses method and weights by 5-fold cross-validation over articles: each fold is measured
with what does best on the others, so that no question has a part in its own choice. `index` adds
BM25 to an embedded collection; `latency` compares the modes there. Vectors of `index` and `latency`
are random, texts are of English words by their frequency.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rdr_qdrant import CollectionSettings, EmbeddedQdrant, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import BM25_VECTOR, Bm25Encoder, Collection, Fusion, Point, Questions
from rdr_qdrant.collection.payload import to_payload
from rdr_qdrant.evaluation.answer_matcher import make_matcher
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import open_source, read_questions
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.searcher import PassageSearcher

FOLDS = 5
DEPTHS = (1, 5, 20)
CANDIDATES = 200
DIMENSION = 768
DBSF = [Fusion("dbsf", (1.0, w)) for w in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)]
RRF = [Fusion("rrf", (1.0, w), k) for k in (2, 20, 60) for w in (0.5, 1.0, 2.0, 4.0)]
LINEAR = [Fusion("linear", (1.0, w)) for w in (0.01, 0.02, 0.03, 0.05, 0.1)]


def fusion(data: Path, *, titles: bool = True) -> None:
    """Choose and measure fusions on XQuAD, whole passages and split paragraphs."""
    questions = list(read_questions(data / "questions.jsonl", print))
    matchers = [make_matcher(question.answers, "string") for question in questions]
    embeddings = RDREmbeddings(model="demo")
    for source, split in (("passages.tsv", None), ("paragraphs.jsonl", 120)):
        with tempfile.TemporaryDirectory() as folder, EmbeddedQdrant(Path(folder)) as client:
            settings = CollectionSettings(bm25="english")
            loader = QdrantLoader(
                embeddings=embeddings,
                client=client,
                collection_name="c",
                collection_settings=settings,
            )
            loader.load_sources([open_source(data / source)], split=split)
            if not titles:
                drop_titles(Collection(client, "c"))
            searcher = PassageSearcher(embeddings, client, "c")
            texts = [question.text for question in questions]
            prepared = searcher.prepare(texts)
            dense = searcher.search_points(prepared, k=CANDIDATES)
            bm25 = searcher.search_points(prepared, k=CANDIDATES, mode="bm25")
        payloads = {hit.id: hit.payload for hits in (*dense, *bm25) for hit in hits}
        lists = [
            tuple([(hit.id, hit.score) for hit in hits] for hits in pair)
            for pair in zip(dense, bm25, strict=True)
        ]
        # XQuAD's questions come article by article, 240 paragraphs of 48 articles in order
        folds = np.arange(len(questions)) * 48 // len(questions) % FOLDS

        def hits(rank: Any, lists: Any = lists, payloads: Any = payloads) -> np.ndarray:
            ranks = []
            for (by_vector, by_words), matcher in zip(lists, matchers, strict=True):
                fused = rank(by_vector, by_words)[: max(DEPTHS)]
                found = (matcher.matches(payloads[i]["page_content"]) for i, _ in fused)
                ranks.append(next((rank for rank, hit in enumerate(found) if hit), np.inf))
            return np.array(ranks)[:, None] < np.array(DEPTHS)

        measured = {one: hits(one.fuse) for one in (*DBSF, *RRF, *LINEAR)}
        print(f"{source}, {len(payloads)} passages, recall @{', @'.join(map(str, DEPTHS))}")
        for name, family in (("dbsf", DBSF), ("rrf", RRF), ("linear", LINEAR), ("any", measured)):
            chosen, held_out = [], np.zeros((len(questions), len(DEPTHS)), dtype=bool)
            for fold in range(FOLDS):
                test = folds == fold
                best = max(family, key=lambda one: measured[one][~test].mean(axis=0).sum())
                held_out[test] = measured[best][test]
                chosen.append(f"{best.method} {best.weights[1]:g} k {best.k}")
            print(f"  {name:7}", percent(held_out), "chosen:", "; ".join(sorted(set(chosen))))
        print("  bm25 alone", percent(hits(lambda dense, bm25: bm25)))
        for one in (Fusion("dbsf"), Fusion("rrf"), Fusion("rrf", k=60)):
            print(f"  {one.method} k {one.k}, weights 1, 1", percent(measured[one]))


def drop_titles(collection: Collection) -> None:
    """Make the sparse vectors anew, of the texts alone."""
    encoder = Bm25Encoder()
    for records in collection.points.scroll_records(500):
        vectors: dict[Any, Any] = {
            one.id: encoder.document((one.payload or {})["page_content"]) for one in records
        }
        collection.points.update_vectors(BM25_VECTOR, vectors)


def percent(hits: np.ndarray) -> str:
    """Format the share of hits by depth."""
    return " ".join(f"{100 * value:.2f}" for value in hits.mean(axis=0))


def some_points(number: int) -> Iterator[list[Point]]:
    """Yield points of random vectors and 100 words, in batches."""
    generator = np.random.default_rng(0)
    for start in range(0, number, 500):
        ids = range(start, min(number, start + 500))
        words = np.minimum(generator.zipf(1.3, (len(ids), 100)), 200_000)
        vectors = generator.normal(size=(len(ids), DIMENSION)).astype(np.float32)
        batch = []
        for one, row, vector in zip(ids, words, vectors, strict=True):
            text = " ".join(f"w{word}" for word in row)
            passage = Passage(str(one), text, f"w{row[0]}")
            batch.append(Point(point_id(passage.id), vector, to_payload(passage, "0" * 64)))
        yield batch


def filled(client: Any, number: int, settings: CollectionSettings | None = None) -> Collection:
    """Make a collection of random points."""
    identity = PairIdentity("random", "random", "random", DIMENSION, 256, "none", (), ())
    collection = Collection(client, "c")
    collection.create(identity, settings)
    for batch in some_points(number):
        collection.points.upsert(batch)
    return collection


def index(number: int) -> None:
    """Measure what adding BM25 to a collection takes."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedQdrant(Path(folder)) as client:
        collection = filled(client, number)
        before = client.disk_bytes("c")
        started, processor = time.perf_counter(), time.process_time()
        report = collection.bm25.add()
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        client.close()
        with EmbeddedQdrant(Path(folder)) as again:
            again.count("c")
            grown = again.disk_bytes("c") - before
        print(
            f"{report.indexed:,} points in {seconds:.1f} s, {1e6 * processor / number:.0f} us of "
            f"processor time and {grown / number:.0f} bytes a point"
        )


def latency(number: int, questions: int = 60) -> None:
    """Compare the latency of the modes over a folder, one question at a time, in turn."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedQdrant(Path(folder)) as client:
        collection = filled(client, number, CollectionSettings(bm25="english"))
        collection.build_index()
        generator = np.random.default_rng(1)
        times: dict[str, list[float]] = {"dense": [], "bm25": [], "hybrid": []}
        for number_of_question in range(questions + 5):
            vector = generator.normal(size=(1, DIMENSION)).astype(np.float32)
            words = np.minimum(generator.zipf(1.3, 8), 200_000)
            question = Questions(vector, [" ".join(f"w{word}" for word in words)])
            for mode, k in itertools.product(times, [10]):
                started = time.perf_counter()
                collection.query_points(question, k=k, mode=mode)  # type: ignore[arg-type]
                if number_of_question >= 5:
                    times[mode].append(time.perf_counter() - started)
        medians = {mode: 1000 * statistics.median(one) for mode, one in times.items()}
        print(json.dumps({mode: f"{one:.1f} ms" for mode, one in medians.items()}))
        print(f"hybrid / dense: {medians['hybrid'] / medians['dense']:.2f}")


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("fusion", "index", "latency"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--without-titles", action="store_true")
    given = parser.parse_args()
    if given.what == "fusion":
        fusion(given.data, titles=not given.without_titles)
    else:
        {"index": index, "latency": latency}[given.what](given.passages)


if __name__ == "__main__":
    main()
