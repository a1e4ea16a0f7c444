"""Speed of everything in a load but the encoder: passages into a sink in another process.

    python benchmarks/feeding.py [--passages 200000] [--sinks grpc,rest] [--rival-points 20000]
    python benchmarks/feeding.py --only load --sinks grpc --rate 15000
    python benchmarks/feeding.py --device cuda [--passages 200000] [--layers 12] [--rounds 2]

An encoder that costs nothing hands out ready vectors of 768 numbers for passages of 100 words, read
from a JSON Lines file. The sink is a process that speaks Qdrant's REST and gRPC, reads each request
and confirms it, and answers look-ups; it keeps the ids alone. Beside the whole load: our
`Points.upsert` alone, by two threads, and `qdrant_client.upload_collection(parallel=2)`, each with
the same points, in the same run.

Processor time is the measure, in microseconds a passage: on a shared machine the clock says little.
`send` has the threads that write; `others` is what no part accounts for, gRPC's own threads
among it.

With `--rate` the vectors come as slowly as from a GPU of that many passages a second, through the
`Encoder` that a GPU has, whose tokenizing takes no time; the run says for how many seconds the GPU
waited before its first batch, between batches and after the last one. With a rate as much above
that of a real GPU as these cores are faster than those beside it, a load does here what it does
there.

With `--device` a real encoder runs there, BERT-base with random weights, and the measure is the
clock: how much longer than encoding alone, by as many threads, a whole load over gRPC takes. Then
the sink keeps what it is sent, so that vectors are verified too. With `--only parts` the parts are
timed there too, which takes time itself.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qdrant_client import QdrantClient

from benchmarks.feeding_corpus import (
    BATCH,
    DISTINCT,
    SOURCE,
    VECTORS,
    WORDS,
    ReadyVectors,
    passage,
    payload,
)
from benchmarks.feeding_sink import client_of, sink
from benchmarks.gpu import passages as random_passages
from benchmarks.gpu import write_encoder
from benchmarks.simulated_gpu import BesideGPU
from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection, Point, upload
from rdr_qdrant.encoding import Side
from rdr_qdrant.export import ShardEncoder
from rdr_qdrant.ingest import id_index, qdrant_sink, qdrant_writer, thread_executor
from rdr_qdrant.ingest.partitions import PartitionReader
from rdr_qdrant.readers import RejectLog, open_source

NAME = "feeding"
THREADS = 2


def encoder(rate: float) -> ReadyVectors:
    """The encoder of a load: of a GPU of this rate, or one that costs nothing."""
    return ReadyVectors() if rate == math.inf else BesideGPU(rate)


def beside_gpu(
    vectors: ReadyVectors, started: float, seconds: float, needed: float
) -> dict[str, float]:
    """How many times as long as its GPU needs a run took, and the seconds of its waits.

    Args:
        vectors: the encoder.
        started: when the run began.
        seconds: that it took.
        needed: seconds that the GPU needs.
    """
    if not isinstance(vectors, BesideGPU):
        return {}
    before = vectors.gpu.began - started
    return {
        "times_gpu": round(seconds / needed, 3),
        "before_first_batch": round(before, 3),
        "between_batches": round(vectors.gpu.idle, 3),
        "after_last_batch": round(seconds - before - vectors.gpu.idle - needed, 3),
    }


class Parts:
    """Processor time of parts of a load, by the threads that run them; and seconds of its steps."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.steps: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._inside = threading.local()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count this thread's time for a part; that of parts inside it is theirs."""
        outer = getattr(self._inside, "spent", None)
        self._inside.spent = 0.0
        started = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - started
            with self._lock:
                self.seconds[name] += spent - self._inside.spent
            self._inside.spent = spent + (outer or 0.0)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*arguments, **options)

        return run

    def timed_iterator(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Iterator[Any]:
            items = function(*arguments, **options)
            while True:
                with self.part(name):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item

        return run

    @contextmanager
    def clocking(self) -> Iterator[None]:
        """Take the time of the steps of loads meanwhile."""
        steps = [
            (qdrant_sink.QdrantSink, "prepare"),
            (thread_executor.ThreadExecutor, "execute"),
            (thread_executor.Pipeline, "submit"),  # reading waits for the encoder
            (RDREmbeddings, "encode_batches"),  # which waits for tokens
            (qdrant_sink.QdrantSink, "verify"),
        ]
        with ExitStack() as stack:
            for owner, name in steps:
                clocked = self._clocked(name, getattr(owner, name))
                stack.enter_context(patch.object(owner, name, clocked))
            yield

    def _clocked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.steps[name] += time.perf_counter() - started

        return run

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time the parts of loads meanwhile."""
        timed = [
            ("hash", thread_executor, "deduplicate"),
            ("hash", thread_executor, "to_pending"),
            ("look-up", qdrant_sink.QdrantSink, "diff"),
            ("build", upload, "to_message"),
            ("build", upload, "to_json"),
            ("send", qdrant_writer.QdrantWriter, "write"),
            ("verify", qdrant_sink.QdrantSink, "verify"),
            ("index", id_index.IdIndex, "add"),
        ]
        with ExitStack() as stack:
            for name, owner, function in timed:
                if hasattr(owner, function):
                    timed_one = self.timed(name, getattr(owner, function))
                    stack.enter_context(patch.object(owner, function, timed_one))
            batches = self.timed_iterator("read", PartitionReader.batches)
            stack.enter_context(patch.object(PartitionReader, "batches", batches))
            yield


def whole_load(
    kind: str,
    file: Path,
    count: int,
    *,
    rate: float = math.inf,
    parts: bool = False,
    again: bool = False,
) -> dict[str, Any]:
    """Passages a second, and microseconds of processor time a passage, perhaps of a second load."""
    watched = Parts()
    with sink() as (url, port), ExitStack() as stack:
        client = client_of(kind, url, port)
        stack.callback(client.close)
        vectors = encoder(rate)
        loader = QdrantLoader(embeddings=vectors, client=client, collection_name=NAME)
        if again:
            loader.load_sources([open_source(file, SOURCE)])
        source = open_source(file, SOURCE)
        if parts:
            stack.enter_context(watched.watching())
        started, spent = time.perf_counter(), time.process_time()
        report = loader.load_sources([source])
        seconds, cpu = time.perf_counter() - started, time.process_time() - spent
    assert (report.unchanged if again else report.uploaded) == report.verified == count, report
    found: dict[str, Any] = {
        "passages_per_second": round(count / seconds),
        "us": round(1e6 * cpu / count, 1),
        **beside_gpu(vectors, started, seconds, count / rate),
    }
    if parts:
        watched.seconds["others"] = cpu - sum(watched.seconds.values())
        for name, part in watched.seconds.items():
            found[name] = round(1e6 * part / count, 1)
    return found


def encode_into_files(file: Path, count: int, rate: float) -> dict[str, Any]:
    """The same for `encode`, whose sink is a folder of Parquet files."""
    with tempfile.TemporaryDirectory() as folder:
        vectors = encoder(rate)
        exporter = ShardEncoder(embeddings=vectors, folder=folder)
        started, cpu = time.perf_counter(), time.process_time()
        report = exporter.encode_sources([open_source(file, SOURCE)])
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert report.encoded == count, report
    return {
        "passages_per_second": round(count / seconds),
        "us": round(1e6 * cpu / count, 1),
        **beside_gpu(vectors, started, seconds, count / rate),
    }


# Building and sending alone


def upserts(kind: str, count: int) -> dict[str, Any]:
    """Our `Points.upsert`, by threads."""
    points = [Point(n, VECTORS[n % DISTINCT], payload(n)) for n in range(count)]
    with sink() as (url, port):
        client = client_of(kind, url, port)
        collection = Collection(client, NAME)
        collection.create(ReadyVectors().identity())
        collection.points.upsert(points[:BATCH])
        started, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(THREADS) as pool:
            parts = (points[start : start + BATCH] for start in range(0, count, BATCH))
            assert not any(result.too_large for result in pool.map(collection.points.upsert, parts))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        client.close()
    return {"passages_per_second": round(count / seconds), "us": round(1e6 * cpu / count, 1)}


def upload_collection(kind: str, count: int) -> dict[str, Any]:
    """`qdrant_client.upload_collection`, by processes."""
    payloads = [payload(n) for n in range(count)]
    vectors = VECTORS[np.arange(count) % DISTINCT]
    with sink() as (url, port):
        Collection(client_of("rest", url, port), NAME).create(ReadyVectors().identity())
        client = QdrantClient(
            url=url, grpc_port=port, prefer_grpc=kind == "grpc", check_compatibility=False
        )
        children = _seconds_of_children()
        started, cpu = time.perf_counter(), time.process_time()
        client.upload_collection(
            NAME,
            vectors=vectors,
            payload=payloads,
            ids=range(count),
            batch_size=BATCH,
            parallel=THREADS,
            method="fork",  # processes whose time counts as that of children
            wait=True,
        )
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu + _seconds_of_children() - children
    return {"passages_per_second": round(count / seconds), "us": round(1e6 * cpu / count, 1)}


# With a real encoder


def load_with_encoder(
    device: str, count: int, layers: int, rounds: int, *, parts: bool = False
) -> Iterator[dict[str, Any]]:
    """Seconds of encoding passages and of loading them over gRPC, with BERT-base on a device.

    Encoding and loading take turns.
    """
    texts = random_passages(DISTINCT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embeddings = RDREmbeddings(
            context_encoder=str(write_encoder(folder / "context", layers)),
            question_encoder=str(write_encoder(folder / "question", layers, Side.QUESTION)),
            device=device,
        )
        file = folder / SOURCE
        with file.open("w") as out:
            for n in range(count):
                text = f"{texts[n % DISTINCT]} {n}"
                out.write(json.dumps({"id": str(n), "title": WORDS[n % 999], "text": text}) + "\n")
        embeddings.warm_up()
        window = embeddings.passages_at_a_time()
        passages = list(open_source(file, SOURCE).passages(RejectLog()))
        windows = [passages[start : start + window] for start in range(0, count, window)]
        _seconds_of_encoding(embeddings, windows[:3])  # warm up
        for _ in range(rounds):
            encoding = _seconds_of_encoding(embeddings, windows)
            watched = Parts()
            with ExitStack() as stack:
                url, port = stack.enter_context(sink("points"))
                client = stack.enter_context(closing(client_of("grpc", url, port)))
                loader = QdrantLoader(embeddings=embeddings, client=client, collection_name=NAME)
                stack.enter_context(watched.clocking())
                if parts:
                    stack.enter_context(watched.watching())
                started, spent = time.perf_counter(), time.process_time()
                report = loader.load_sources([open_source(file, SOURCE)])
                load, cpu = time.perf_counter() - started, time.process_time() - spent
            assert report.uploaded == report.verified == count, report
            yield {
                "passages": count,
                "encoding_seconds": round(encoding, 2),
                "load_seconds": round(load, 2),
                "load_passages_per_second": round(count / load),
                "load_over_encoding": round(load / encoding, 3),
                "steps": {name: round(spent, 2) for name, spent in watched.steps.items()},
                "us": round(1e6 * cpu / count, 1),
                **{name: round(1e6 * part / count, 1) for name, part in watched.seconds.items()},
            }


def _seconds_of_encoding(embeddings: RDREmbeddings, windows: Sequence[Sequence[Passage]]) -> float:
    """Encoding alone, the next passages tokenized meanwhile, by as many threads as in a load."""
    threads = embeddings.encoding_threads()
    free = threading.Semaphore(thread_executor.TOKENIZED_BATCHES * threads)

    def encode(tokens: Any) -> None:
        for _ in embeddings.encode_batches(tokens):
            pass
        free.release()

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        running = []
        for window in windows:
            free.acquire()
            running.append(pool.submit(encode, embeddings.tokenize_passages(window)))
        for one in running:
            one.result()
    return time.perf_counter() - started


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--rival-points", type=int, default=20_000)
    parser.add_argument("--sinks", default="grpc,rest")
    parser.add_argument("--only", choices=["encode", "load", "again", "parts", "upsert", "rival"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=float, default=math.inf, help="of a GPU")
    parser.add_argument("--device", help="a real encoder there: whole load beside encoding alone")
    parser.add_argument("--layers", type=int, default=12, help="of that encoder")
    parser.add_argument("--rounds", type=int, default=2, help="with that encoder")
    options = parser.parse_args()
    if options.device:
        size = options.passages, options.layers, options.rounds
        for found in load_with_encoder(options.device, *size, parts=options.only == "parts"):
            print(json.dumps(found) if options.json else found, flush=True)
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / SOURCE
        with file.open("w") as out:
            for one in map(passage, range(options.passages)):
                out.write(json.dumps({"id": one.id, "title": one.title, "text": one.text}) + "\n")
        runs: dict[str, Callable[[str], dict[str, Any]]] = {
            "load": lambda kind: whole_load(kind, file, options.passages, rate=options.rate),
            "again": lambda kind: whole_load(kind, file, options.passages, parts=True, again=True),
            "parts": lambda kind: whole_load(kind, file, options.passages, parts=True),
            "upsert": lambda kind: upserts(kind, options.rival_points),
            "rival": lambda kind: upload_collection(kind, options.rival_points),
        }
        if options.only in (None, "encode"):
            found = encode_into_files(file, options.passages, options.rate)
            results["encode"] = found
            if not options.json:
                print(f"encode        {found}", flush=True)
        for kind in options.sinks.split(","):
            for name, run in runs.items():
                if options.only in (None, name):
                    results[f"{name} {kind}"] = run(kind)
                    if not options.json:
                        print(f"{name:8}{kind:6}{results[f'{name} {kind}']}", flush=True)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
