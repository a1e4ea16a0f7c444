"""A real Qdrant, used as the product uses it, and what that takes; for a machine that has one.

    python benchmarks/server.py --url http://localhost:6333 [--grpc-port 6334] [--passages 20000]
        [--steps load,rates,...] [--pid PID] > server.json

Each step compares what the server holds with what it was sent, and ends the run where they differ:

    load      a file, in requests of the default size
    resume    a load that is stopped half-way, then the same again
    prune     a load of fewer rows with --prune
    bulk      with and without --bulk, until the index is built
    swap      an alias moved to new collections while others search it: no search may fail
    copy      to an embedded folder and back into another collection
    hybrid    BM25 added to a collection that exists, and the latency of each mode
    presets   collections of each preset, their settings read back
    rates     points a second over REST and gRPC, beside qdrant-client's own `upload_collection`
    kill      with --pid: the server is killed during a load; it must be started again

Vectors cost nothing here: they are drawn by the passage's id. The JSON on stdout has the server's
version. Collections are named `rdr-bench-...` and deleted at the end. The key: QDRANT_API_KEY.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from rdr_qdrant import CollectionSettings, LoadReport, Passage, QdrantLoader, connect
from rdr_qdrant.collection import BM25_VECTOR, MODES, Bm25Encoder, Collection, Questions
from rdr_qdrant.collection.migrate import copy_collection
from rdr_qdrant.collection.settings import PRESETS, differences
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.errors import CollectionError, RDRQdrantError, StoreError
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import open_source
from rdr_qdrant.registry import PASSAGE_FORMAT, PairIdentity

READERS = 4
SWAPS = 3
QUESTIONS = 50
PAGE = 1000
SECONDS_FOR_A_RESTART = 600.0


@dataclass
class DrawnVectors:
    """A `PassageEncoder` whose vectors are drawn by the passage's id; `seed` is its weights."""

    dimension: int
    seed: int = 0

    pair_label = "drawn"

    def encoding_threads(self) -> int:
        return 1

    def passages_at_a_time(self) -> int:
        return 256

    def token_counter(self) -> None:
        return None

    def identity(self, *sides: Side) -> PairIdentity:
        probe = tuple(float(x) for x in self.vector("probe"))
        name = f"drawn-{self.seed}"
        return PairIdentity(
            label=name,
            context_encoder=name,
            question_encoder=name,
            dimension=self.dimension,
            max_length=256,
            passage_format=PASSAGE_FORMAT,
            probe=probe,
            question_probe=probe,
            revision=None,
            precision="fp32",
        )

    def fingerprint(self) -> str:
        return f"drawn {self.dimension} {self.seed}"

    def vector(self, passage_id: str) -> np.ndarray:
        words = [self.seed, *passage_id.encode()]
        return np.random.default_rng(words).standard_normal(self.dimension, dtype=np.float32)

    def tokenize_passages(self, passages: Sequence[Passage]) -> list[str]:
        return [passage.id for passage in passages]

    def encode_batches(self, tokens: list[str]) -> Iterator[EncodedBatch]:
        vectors = np.stack([self.vector(one) for one in tokens])
        yield EncodedBatch(list(range(len(tokens))), vectors, [False] * len(tokens))


@dataclass
class Bench:
    """One run against one server."""

    url: str
    grpc_port: int | None
    passages: int
    dimension: int
    pid: int | None
    folder: Path
    client: QdrantClient = field(init=False)
    prefix: str = field(init=False, default_factory=lambda: f"rdr-bench-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.client = connect(self.url)
        self.encoder = DrawnVectors(self.dimension)
        self.file = self.write(self.passages)

    def write(self, count: int) -> Path:
        path = self.folder / "passages.jsonl"
        with path.open("w") as file:
            for number in range(count):
                row = {
                    "id": f"p{number}",
                    "title": f"title {number}",
                    "text": f"text {number} " * 8,
                }
                file.write(json.dumps(row | {"year": 1900 + number % 100}) + "\n")
        return path

    def load(
        self,
        name: str,
        client: QdrantClient | None = None,
        *,
        prune: bool = False,
        stop_at: int | None = None,
        **options: Any,
    ) -> LoadReport:
        loader = QdrantLoader(
            embeddings=self.encoder,
            client=client or self.client,
            collection_name=f"{self.prefix}-{name}",
            **options,
        )
        if stop_at is not None:

            def stop(report: LoadReport) -> None:
                if report.read >= stop_at:
                    loader.stop()

            loader.on_progress = stop
        return loader.load_sources([open_source(self.file)], prune=prune)

    def check(self, name: str, count: int) -> None:
        """Compare every point of a collection with what was sent.

        Raises:
            SystemExit: they differ.
        """
        expected: dict[Any, str] = {point_id(f"p{number}"): f"p{number}" for number in range(count)}
        offset: Any = None
        found = 0
        while True:
            records, offset = self.client.scroll(
                f"{self.prefix}-{name}", limit=PAGE, offset=offset, with_vectors=True
            )
            for record in records:
                passage_id = expected[record.id]
                dense = record.vector[""] if isinstance(record.vector, dict) else record.vector
                vector = np.asarray(dense, dtype=np.float32)
                if vector.tobytes() != self.encoder.vector(passage_id).tobytes():
                    sys.exit(f"{name}: point {record.id} has another vector than the one sent.")
            found += len(records)
            if offset is None:
                break
        if found != count:
            sys.exit(f"{name}: {found} points instead of {count}.")

    def drop(self) -> None:
        for alias in self.client.get_aliases().aliases:
            if alias.alias_name.startswith(self.prefix):
                operation = models.DeleteAlias(alias_name=alias.alias_name)
                self.client.update_collection_aliases(
                    [models.DeleteAliasOperation(delete_alias=operation)]
                )
        for one in self.client.get_collections().collections:
            if one.name.startswith(self.prefix):
                self.client.delete_collection(one.name)

    # Steps

    def step_load(self) -> dict[str, Any]:
        report = self.load("load")
        self.check("load", self.passages)
        return {"seconds": report.seconds, "points": report.points, "retries": report.retries}

    def step_resume(self) -> dict[str, Any]:
        first = self.load("resume", stop_at=self.passages // 2, batch_size=64)
        second = self.load("resume")
        self.check("resume", self.passages)
        return {"interrupted_at": first.uploaded, "unchanged": second.unchanged}

    def step_prune(self) -> dict[str, Any]:
        self.load("prune")
        self.write(self.passages * 9 // 10)
        try:
            settings = CollectionSettings(payload_indexes={"source": "keyword"})
            report = self.load("prune", prune=True, collection_settings=settings)
        finally:
            self.write(self.passages)
        self.check("prune", self.passages * 9 // 10)
        return {"removed": report.removed, "seconds": report.seconds}

    def step_bulk(self) -> dict[str, Any]:
        seconds = {}
        for bulk in (False, True):
            name = f"bulk-{bulk}"
            started = time.monotonic()
            self.load(name, bulk=bulk)
            Collection(self.client, f"{self.prefix}-{name}").bulk_indexing.wait_for_index()
            seconds["bulk" if bulk else "plain"] = time.monotonic() - started
            self.check(name, self.passages)
        return {"seconds_until_indexed": seconds}

    def step_swap(self) -> dict[str, Any]:
        self.load("live", swap_alias=True)
        ended, failures, searches = threading.Event(), [], [0] * READERS

        def read(number: int) -> None:
            client = connect(self.url)
            collection = Collection(client, f"{self.prefix}-live")
            while not ended.is_set():
                try:
                    [hits] = collection.search(self.encoder.vector(f"p{number}")[None], k=1)
                    if not hits:
                        failures.append("nothing found")
                except StoreError as error:
                    failures.append(str(error))
                searches[number] += 1
            client.close()

        readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
        for reader in readers:
            reader.start()
        try:
            for number in range(SWAPS):
                self.encoder = DrawnVectors(self.dimension, seed=number + 1)
                self.load("live", swap_alias=True, drop_old=True)
                self.check("live", self.passages)
        finally:
            ended.set()
            for reader in readers:
                reader.join()
            self.encoder = DrawnVectors(self.dimension)
        if failures:
            sys.exit(f"swap: {len(failures)} of {sum(searches)} searches failed: {failures[0]}")
        return {"swaps": SWAPS, "searches": sum(searches), "failed": 0}

    def step_copy(self) -> dict[str, Any]:
        self.load("copy")
        name = f"{self.prefix}-copy"
        folder = connect(path=self.folder / "copy")
        out = copy_collection(self.client, folder, name, index=False)
        Collection(self.client, name).delete()
        back = copy_collection(folder, self.client, name)
        folder.close()
        self.check("copy", self.passages)
        return {"seconds_out": out.seconds, "seconds_back": back.seconds}

    def step_hybrid(self) -> dict[str, Any]:
        self.load("hybrid")
        name = f"{self.prefix}-hybrid"
        collection, encoder = Collection(self.client, name), Bm25Encoder()
        report = collection.bm25.add()
        self.check("hybrid", self.passages)
        records, _ = self.client.scroll(name, limit=PAGE, with_vectors=True)
        for record in records:
            vectors: Any = record.vector
            found, expected = vectors[BM25_VECTOR], encoder.passage(record.payload or {})
            assert expected
            if dict(zip(found.indices, found.values, strict=True)) != dict(
                zip(expected.indices, expected.values, strict=True)
            ):
                sys.exit(f"hybrid: point {record.id} has another sparse vector than its text.")
        times: dict[str, list[float]] = {mode: [] for mode in MODES}
        for number in range(QUESTIONS):
            question = Questions(self.encoder.vector(f"q{number}")[None], [f"text {number}"])
            for mode in MODES:
                started = time.monotonic()
                collection.query_points(question, k=10, mode=mode)
                times[mode].append(time.monotonic() - started)
        medians = {mode: 1000 * statistics.median(one) for mode, one in times.items()}
        return {
            "points": report.indexed,
            "seconds": report.seconds,
            "milliseconds": medians,
            "hybrid_by_dense": medians["hybrid"] / medians["dense"],
        }

    def step_presets(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for preset in PRESETS:
            settings = CollectionSettings.preset(preset)
            collection = Collection(self.client, f"{self.prefix}-{preset}")
            try:
                collection.create(self.encoder.identity(), settings)
            except CollectionError as error:
                found[preset] = str(error)
                continue
            found[preset] = differences(settings, collection.settings()) or "as asked"
        return found

    def step_rates(self) -> dict[str, Any]:
        vectors = np.stack([self.encoder.vector(f"p{n}") for n in range(self.passages)])
        ways = {"rest": self.client}
        if self.grpc_port:
            ways["grpc"] = connect(self.url, grpc_port=self.grpc_port)
        found: dict[str, Any] = {}
        for way, client in ways.items():
            Collection(self.client, f"{self.prefix}-rates-{way}").create(self.encoder.identity())
            started = time.monotonic()
            self.load(f"rates-{way}", client)
            ours = time.monotonic() - started
            self.check(f"rates-{way}", self.passages)
            name = f"{self.prefix}-upload-{way}"
            size, distance = self.dimension, models.Distance.DOT
            self.client.create_collection(
                name, vectors_config=models.VectorParams(size=size, distance=distance)
            )
            started = time.monotonic()
            client.upload_collection(
                name,
                vectors=vectors,
                ids=list(range(self.passages)),
                payload=[{"page_content": f"text {n} " * 8} for n in range(self.passages)],
                parallel=1,
                wait=True,
            )
            theirs = time.monotonic() - started
            found[way] = {
                "points_per_second": self.passages / ours,
                "upload_collection_points_per_second": self.passages / theirs,
            }
        return found if self.grpc_port else found | {"grpc": "skipped: give --grpc-port"}

    def step_kill(self) -> dict[str, Any]:
        if self.pid is None:
            return {"skipped": "give --pid to have the server killed"}
        killed: list[int] = []
        threshold = random.uniform(0.1, 0.8) * self.passages

        def kill(report: LoadReport) -> None:
            if report.read >= threshold and not killed and self.pid is not None:
                killed.append(report.read)
                os.kill(self.pid, signal.SIGKILL)
                print("The server was killed: start it again.", file=sys.stderr, flush=True)

        options: dict[str, Any] = {
            "on_progress": kill,
            "batch_size": 64,
            "retry_for": SECONDS_FOR_A_RESTART,
        }
        report = self.load("kill", **options)
        self.check("kill", self.passages)
        return {"killed_at": killed, "retries": report.retries, "seconds": report.seconds}


STEPS = [name.removeprefix("step_") for name in vars(Bench) if name.startswith("step_")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the steps, and print their results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--grpc-port", type=int)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--steps", default=",".join(STEPS), help=f"default: {','.join(STEPS)}")
    parser.add_argument("--pid", type=int, help="of the server, which is killed once")
    options = parser.parse_args(arguments)
    unknown = set(options.steps.split(",")) - set(STEPS)
    if unknown:
        parser.error(f"unknown steps {', '.join(sorted(unknown))}; known: {', '.join(STEPS)}")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            options.url,
            options.grpc_port,
            options.passages,
            options.dimension,
            options.pid,
            Path(scratch),
        )
        result: dict[str, Any] = {
            "version": bench.client.info().version,
            "passages": options.passages,
            "dimension": options.dimension,
        }
        try:
            for name in options.steps.split(","):
                print(f"{name} ...", file=sys.stderr, flush=True)
                step: Callable[[], dict[str, Any]] = getattr(bench, f"step_{name}")
                started = time.monotonic()
                result[name] = step() | {"wall_seconds": time.monotonic() - started}
        except RDRQdrantError as error:
            sys.exit(f"{name}: {error}")
        finally:
            bench.drop()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
