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
`Encoder` that a GPU has, whose tokenizing takes no time. With a rate as much above that of a real
GPU as these cores are faster than those beside it, a load does here what it does there.

With `--device` a real encoder runs there, BERT-base with random weights, and the measure is the
clock: how much longer than encoding alone, by as many threads, a whole load over gRPC takes. Then
the sink keeps what it is sent, so that vectors are verified too. With `--only parts` the parts are
timed there too, which takes time itself.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import GrpcToRest

from benchmarks.gpu import passages as random_passages
from benchmarks.gpu import write_encoder
from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection, Point, upload
from rdr_qdrant.collection.payload import to_payload
from rdr_qdrant.encoding import EncodedBatch, Encoder, Side, tokenizer_process
from rdr_qdrant.encoding.batching import filled_batches
from rdr_qdrant.encoding.cls_forward import Forward, batch_array
from rdr_qdrant.encoding.cuda_graphs import graph_shape
from rdr_qdrant.encoding.encoder import BATCH_TOKENS, BATCHES_AHEAD
from rdr_qdrant.encoding.token_ids import IntArray, TokenIds
from rdr_qdrant.encoding.tokenizer import Tokens, passage_input
from rdr_qdrant.encoding.tokenizer_process import run_worker
from rdr_qdrant.encoding.transfer import Fetch, FloatArray
from rdr_qdrant.export import ShardEncoder
from rdr_qdrant.ingest import id_index, qdrant_sink, qdrant_writer, thread_executor
from rdr_qdrant.ingest.partitions import PartitionReader
from rdr_qdrant.passages import content_hash
from rdr_qdrant.readers import RejectLog, open_source
from rdr_qdrant.registry import PASSAGE_FORMAT, PairIdentity
from tests.support.http_listener import Listener, Reply, Request
from tests.support.qdrant_grpc_server import GrpcPoints, QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer

NAME = "feeding"
DIMENSION = 768
WINDOW = 4096
"""Passages that are looked up together, as on a GPU."""
BATCH = 256
"""Vectors that the encoder hands out together."""
THREADS = 2
SOURCE = "passages.jsonl"
FINGERPRINT = "feeding"
TOKENS = 142
"""Tokens of a passage beside a GPU that does nothing."""
DISTINCT = 4096
"""Vectors that differ; passage n has the n-th, from the start again after the last."""

VECTORS = np.random.default_rng(0).standard_normal((DISTINCT, DIMENSION)).astype(np.float32)
_LETTERS = np.random.default_rng(1).integers(97, 123, 200_000).astype(np.uint8).tobytes().decode()
WORDS = [_LETTERS[9 * n : 9 * n + 2 + n % 7] for n in range(20_000)]


def passage(number: int) -> Passage:
    """The passage of this number: 100 words, the last of them the number."""
    start = 37 * number % (len(WORDS) - 100)
    text = " ".join([*WORDS[start : start + 99], str(number)])
    return Passage(str(number), text, WORDS[start])


def payload(number: int) -> dict[str, Any]:
    """The payload of its point."""
    one = passage(number)
    with_source = Passage(one.id, one.text, one.title, {"source": SOURCE})
    return to_payload(with_source, content_hash(one, FINGERPRINT))


# The sink


@dataclass
class Ids:
    """The ids that were sent, and perhaps the points.

    Attributes:
        stored: the ids.
        points: payloads and vectors by id, each to be called for, if they are kept.
    """

    stored: set[int] = field(default_factory=set)
    points: dict[int, Callable[[], tuple[dict[str, Any], Sequence[float]]]] | None = None

    def answer(
        self, asked: Sequence[int], *, payloads: bool, vectors: bool
    ) -> list[dict[str, Any]]:
        """The points of these ids that were sent: as they were, or else as they must have been."""
        found: list[dict[str, Any]] = [{"id": one} for one in asked if one in self.stored]
        for point in found:
            if not payloads and not vectors:
                continue
            if self.points is None:
                content = payload(point["id"]), VECTORS[point["id"] % DISTINCT]
            else:
                content = self.points[point["id"]]()
            if payloads:
                point["payload"] = content[0]
            if vectors:
                point["vector"] = [float(number) for number in content[1]]
        return found


class RestSink(QdrantHTTPServer):
    """Keeps ids; collections are those of an empty Qdrant in memory."""

    def __init__(self, ids: Ids, backend: QdrantClient) -> None:
        super().__init__(backend, max_request_bytes=1 << 30)
        self._ids = ids

    def answer(self, listener: Listener, request: Request) -> Reply | None:
        if request.method == "PUT" and request.path.endswith("/points"):
            ids = re.findall(rb'[{,]"id":(\d+)', request.body)
            for several in re.findall(rb'"ids":\[([\d,]+)\]', request.body):
                ids += several.split(b",")
            if self._ids.points is not None:
                for point in orjson.loads(request.body)["points"]:
                    content = point["payload"], point["vector"]
                    self._ids.points[point["id"]] = partial(tuple, content)
            self._ids.stored.update(map(int, ids))
            return _reply({"operation_id": 1, "status": "completed"})
        if request.method == "POST" and request.path.endswith("/points"):
            body = orjson.loads(request.body)
            wanted = {"payloads": body.get("with_payload"), "vectors": body.get("with_vector")}
            return _reply(self._ids.answer(body["ids"], **wanted))
        if request.path.endswith("/points/count"):
            return _reply({"count": len(self._ids.stored)})
        return super().answer(listener, request)


def _reply(result: Any) -> Reply:
    return Reply(200, orjson.dumps({"result": result, "status": "ok", "time": 0.0}))


class GrpcSink(GrpcPoints):
    """Keeps ids, and in memory whole points where it is told so."""

    def __init__(self, ids: Ids, backend: QdrantClient) -> None:
        super().__init__(backend)
        self._ids = ids

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self._ids.points is not None:
            for point in request.points:
                self._ids.points[point.id.num] = partial(_content, point)
        self._ids.stored.update([point.id.num for point in request.points])
        status = messages.UpdateStatus.Completed
        return messages.PointsOperationResponse(result=messages.UpdateResult(status=status))


def _content(point: Any) -> tuple[dict[str, Any], Sequence[float]]:
    return GrpcToRest.convert_payload(point.payload), point.vectors.vector.dense.data


def serve(*, keeps_points: bool) -> None:
    """Serve REST and gRPC until standard input ends; prints the ports."""
    ids, backend = Ids(points={} if keeps_points else None), QdrantClient(":memory:")
    grpc = QdrantGRPCServer(backend, GrpcSink(ids, backend))
    with RestSink(ids, backend) as rest, grpc:
        print(rest.url, grpc.port, flush=True)
        sys.stdin.read()


@contextmanager
def sink(kept: str = "ids") -> Iterator[tuple[str, int]]:
    """A sink in another process that keeps ids or points: its URL and gRPC port."""
    command = [sys.executable, __file__, "--serve", kept]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        url, port = process.stdout.readline().split()
        yield url, int(port)
    finally:
        process.stdin.close()
        process.wait()


def client_of(kind: str, url: str, port: int) -> QdrantClient:
    """A client that sends points over REST or gRPC."""
    return QdrantClient(
        url=url,
        grpc_port=port if kind == "grpc" else 6334,
        timeout=60,
        check_compatibility=False,
    )


# The load


class ReadyVectors:
    """An encoder that costs nothing."""

    pair_label = "ready"

    def encoding_threads(self) -> int:
        return 2

    def passages_at_a_time(self) -> int:
        return WINDOW

    def token_counter(self) -> None:
        return None

    def identity(self, *sides: Side) -> PairIdentity:
        return PairIdentity(
            label="ready",
            context_encoder="ready",
            question_encoder="ready",
            dimension=DIMENSION,
            max_length=256,
            passage_format=PASSAGE_FORMAT,
            probe=(1.0,) * DIMENSION,
            question_probe=(1.0,) * DIMENSION,
            revision=None,
            precision="fp32",
        )

    def fingerprint(self) -> str:
        return FINGERPRINT

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        return [int(one.id) for one in passages]

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        for start in range(0, len(tokens), BATCH):
            part = tokens[start : start + BATCH]
            rows = VECTORS[[one % DISTINCT for one in part]]
            yield EncodedBatch(list(range(start, start + len(part))), rows, [False] * len(part))


class BesideGPU(ReadyVectors):
    """An `Encoder` as on a GPU; the GPU and the process that tokenizes do nothing but take time.

    Args:
        rate: passages a second of the GPU.
    """

    def __init__(self, rate: float) -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = str(write_encoder(Path(folder), 1))
            with (
                patch.object(Encoder, "_make_forward", lambda *_: TimedForward(rate)),
                patch.object(tokenizer_process, "InputTokenizer", lambda *_: numbers_of),
            ):
                self._encoder = Encoder(Side.CONTEXT, checkpoint, max_length=256, device="meta")
        # what an encoder on `cuda` has
        self._encoder._batch_tokens = BATCH_TOKENS["cuda"]
        self._encoder._batches_ahead = BATCHES_AHEAD
        tokenizer_process.run_worker = import_module("benchmarks.feeding").tokenize_in_no_time
        self.tokenize_passages([passage(number) for number in range(WINDOW)]).result()  # starts it

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        return self._encoder.tokenize([passage_input(one.title, one.text) for one in passages])

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        return self._encoder.encode_batches(tokens.result())


def encoder(rate: float) -> ReadyVectors:
    """The encoder of a load: of a GPU of this rate, or one that costs nothing."""
    return ReadyVectors() if rate == math.inf else BesideGPU(rate)


class TimedForward(Forward):
    """A forward pass that takes the time of a GPU, and of the host what `GraphedForward` does.

    Args:
        rate: passages a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def batches(self, lengths: IntArray, max_tokens: int) -> Iterator[list[int]]:
        return filled_batches(lengths, max_tokens)

    def prepare(self, ids: TokenIds) -> Callable[[], Fetch]:
        array = batch_array(ids, graph_shape(ids))
        release_lock()  # PyTorch does at each call: here copying to pinned memory
        return partial(self._start, ids.ids[ids.offsets[:-1]], array)

    def __call__(self, ids: TokenIds) -> Fetch:
        return self.prepare(ids)()

    def _start(self, numbers: IntArray, array: IntArray) -> Fetch:
        with self._lock:
            for _ in range(6):  # copies there and back, the graph, a slice, memory, an event
                release_lock()
            self._free_at = max(self._free_at, time.perf_counter()) + len(numbers) / self._rate
            done_at = self._free_at

        def fetch() -> FloatArray:
            time.sleep(max(0.0, done_at - time.perf_counter()))
            return cast(FloatArray, VECTORS[numbers % DISTINCT])

        return fetch


def release_lock() -> None:
    """Let another thread have the interpreter, if one waits."""
    time.sleep(0)


def tokenize_in_no_time() -> None:
    """Answer requests as `tokenizer_process.run_worker` does, from which it takes this over."""
    with (
        patch.object(tokenizer_process, "InputTokenizer", lambda *_: numbers_of),
        patch("tokenizers.Tokenizer.from_str"),
    ):
        run_worker()


def numbers_of(inputs: Sequence[Any]) -> Tokens:
    """Tokens of passages, 142 each; the first is the number of the passage."""
    texts = (one if isinstance(one, str) else one[1] for one in inputs)
    ids = np.full((len(inputs), TOKENS), 1000, dtype=np.int32)
    ids[:, 0] = [int(text.rpartition(" ")[2]) for text in texts]
    lengths = np.full(len(inputs), TOKENS, dtype=np.int32)
    return Tokens(TokenIds(ids.reshape(-1), lengths), [False] * len(inputs))


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
        loader = QdrantLoader(embeddings=encoder(rate), client=client, collection_name=NAME)
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
    }
    if parts:
        watched.seconds["others"] = cpu - sum(watched.seconds.values())
        for name, part in watched.seconds.items():
            found[name] = round(1e6 * part / count, 1)
    return found


def encode_into_files(file: Path, count: int, rate: float) -> dict[str, Any]:
    """The same for `encode`, whose sink is a folder of Parquet files."""
    with tempfile.TemporaryDirectory() as folder:
        exporter = ShardEncoder(embeddings=encoder(rate), folder=folder)
        started, cpu = time.perf_counter(), time.process_time()
        report = exporter.encode_sources([open_source(file, SOURCE)])
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert report.encoded == count, report
    return {"passages_per_second": round(count / seconds), "us": round(1e6 * cpu / count, 1)}


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
    parser.add_argument("--serve", choices=["ids", "points"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(keeps_points=options.serve == "points")
    if options.device:
        size = options.passages, options.layers, options.rounds
        for found in load_with_encoder(options.device, *size, parts=options.only == "parts"):
            print(json.dumps(found) if options.json else found, flush=True)
        return None
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
    return None


if __name__ == "__main__":
    main()
