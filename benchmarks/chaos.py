"""Loads under fire: killed at random moments, and through a network that fails all the time.

    python benchmarks/chaos.py [--kills 100] [--kills-over-grpc 20] [--faults 1000] [--rows 40000]

Kills: `rdr-qdrant ingest` into an embedded folder, in a process of its own that gets SIGKILL at a
random moment, again and again; then once to its end. The collection must equal that of an
undisturbed run, point for point. The same over gRPC, into a test server.

Faults: loads over HTTP and gRPC into a test server that resets, stalls, restarts, answers half,
answers errors, and loses acknowledgements after the write. Round by round the corpus changes, and
is pruned. After each round the collection must equal the corpus, and the report the server.

The encoders are a random pair with 32 numbers. Vectors may differ by 1e-5: what else is in a batch
moves the last bits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.cli import app
from rdr_qdrant.collection import upload
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import open_source
from tests.checkpoints import write_pair
from tests.support.faults import (
    Fault,
    HalfAnswer,
    ResetAfter,
    ResetBefore,
    Restart,
    Slow,
    StallAfter,
    StallBefore,
    Status,
)
from tests.support.qdrant_grpc_server import QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer

ROOT = Path(__file__).resolve().parents[1]
KINDS: list[Fault] = [
    ResetBefore(),
    ResetAfter(),
    HalfAnswer(),
    StallBefore(0.05),
    StallAfter(0.05),
    Slow(0.02),
    Restart(0.05),
    Status(429),
    Status(429, {"Retry-After": "0"}),
    Status(500),
    Status(502, body="<html>bad gateway</html>"),
    Status(503),
    Status(504),
]
GRPC_ALWAYS: dict[str, Any] = {
    "POINTS_WORTH_GRPC": 1,
    "SHORTEST_PAUSE_SECONDS": 0.0,
    "PAUSE_PER_WAIT": 0.0,
}
"""Constants of `upload` by which every write tries gRPC, however small it is."""
WORDS = "the river is in the north and the king built the old city by the water".split()
COLLECTION = "chaos"


def write_corpus(path: Path, rows: int, seed: int) -> None:
    dice = random.Random(seed)
    with path.open("w") as file:
        for number in range(rows):
            one = {
                "id": str(number) if number % 2 else f"doc#{number}",
                "title": dice.choice(WORDS),
                "text": " ".join(dice.choices(WORDS, k=dice.randint(3, 12))) + f" {number}",
                "year": dice.randint(0, 2000),
                "weight": dice.random(),
            }
            file.write(json.dumps(one) + "\n")


# Kills


def killed_loads(
    folder: Path, kills: int, rows: int, seed: int, server: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Kill one ingest so often, finish it, and compare it with an undisturbed one.

    Args:
        folder: an empty one.
        kills: how often.
        rows: of the corpus.
        seed: of chance.
        server: URL and gRPC port of the one to load into; by default into a folder.
    """
    dice = random.Random(seed)
    corpus = folder / "corpus.jsonl"
    write_corpus(corpus, rows, seed)
    context, question = write_pair(folder / "pair")
    options = ["-c", COLLECTION, "--context-encoder", context]
    options += ["--question-encoder", question, "--json"]
    options += [] if server else ["--batch-size", "32"]  # gRPC is for larger requests

    def ingest(place: str, source: Path = corpus) -> list[str]:
        where = ["--path", str(folder / place)]
        if server and place == "killed":
            where = ["--url", server[0], "--grpc-port", server[1]]
        return ["ingest", str(source), *where, *options]

    def killed() -> QdrantClient:
        return connect(url=server[0]) if server else connect(path=folder / "killed")

    write_corpus(folder / "one.jsonl", 1, seed)
    started = time.monotonic()
    assert _wait(_start(ingest("one", folder / "one.jsonl"), folder / "log")) == 0
    startup = time.monotonic() - started
    started = time.monotonic()
    undisturbed = _wait(_start(ingest("undisturbed"), folder / "log"))
    assert undisturbed == 0, (folder / "log").read_text()
    seconds = time.monotonic() - started
    longest = 3 * startup + 2 * (seconds - startup) / kills  # on the average, about one load
    done = finished = progressed = 0
    before = 0
    while done < kills:
        child = _start(ingest("killed"), folder / "log")
        time.sleep(dice.uniform(0.8 * startup, longest))
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            finished += 1
            longest *= 0.8
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done += 1
        size = _size(killed)
        progressed += size > before
        before = max(before, size)
    finished_at_last = _wait(_start(ingest("killed"), folder / "last"))
    assert finished_at_last == 0, (folder / "last").read_text()
    last = json.loads((folder / "last").read_text().splitlines()[-1])
    difference = compare(connect(path=folder / "undisturbed"), killed())
    return {
        "kills": done,
        "rows": rows,
        "undisturbed seconds": round(seconds, 1),
        "lives that wrote something": progressed,
        "lives that came to their end": finished,
        "left for the last run": last["uploaded"],
        "verified by it": last["verified"],
        **difference,
    }


def _start(arguments: list[str], log: Path) -> int:
    """Run a command in a process of its own; a fork, since importing torch takes seconds."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            status = app.run(arguments)
            sys.stdout.flush()
    finally:
        os._exit(status)


def _wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _size(open_client: Callable[[], QdrantClient]) -> int:
    """Points that are there, looked up in a process of its own as well."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        client = open_client()
        there = client.collection_exists(COLLECTION)
        os.write(writer, str(client.count(COLLECTION).count if there else 0).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        size = int(answer.read() or 0)
    os.waitpid(child, 0)
    return size


def compare(*clients: QdrantClient) -> dict[str, int]:
    """Points that are only in one of two places, or differ."""
    first, second = (dict(everything(client)) for client in clients)
    for client in clients:
        client.close()
    common = first.keys() & second.keys()
    return {
        "points": len(second),
        "missing": len(first.keys() - second.keys()),
        "too many": len(second.keys() - first.keys()),
        "different": sum(not _equal(first[key], second[key]) for key in common),
    }


def everything(client: QdrantClient) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    offset: Any = None
    while True:
        page, offset = client.scroll(COLLECTION, limit=1000, offset=offset, with_vectors=True)
        for point in page:
            yield point.id, (point.payload, np.asarray(point.vector))
        if offset is None:
            return


def _equal(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[0] == other[0] and bool(np.abs(one[1] - other[1]).max() <= 1e-5)


@contextmanager
def serving() -> Iterator[tuple[str, str]]:
    """A test server in a process of its own: its URL and gRPC port."""
    command = [sys.executable, "-m", "tests.support.qdrant_server", "--grpc"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            url, port = process.stdout.readline().split()
            yield url, port
        finally:
            process.kill()


# Faults


def faulty_loads(folder: Path, faults: int, seed: int) -> dict[str, Any]:
    """Load, change, prune, over and over, until so many faults were suffered."""
    dice = random.Random(seed)
    context, question = write_pair(folder / "pair2")
    embeddings = RDREmbeddings(context_encoder=context, question_encoder=question)
    corpus = folder / "faults.jsonl"
    rows: dict[str, dict[str, Any]] = {}
    totals = {"rounds": 0, "faults": 0, "retries": 0, "lost": 0, "doubled": 0, "false reports": 0}
    with ExitStack() as stack:
        backend = stack.enter_context(EmbeddedQdrant(folder / "behind"))
        server = stack.enter_context(QdrantHTTPServer(backend))
        grpc = stack.enter_context(QdrantGRPCServer(backend))
        client = connect(url=server.url, grpc_port=grpc.port)
        stack.enter_context(patch.multiple(upload, **GRPC_ALWAYS))
        while sum(server.faulted.values()) < faults:
            changes = _change(rows, dice, totals["rounds"])
            corpus.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
            loader = QdrantLoader(
                embeddings=embeddings, client=client, collection_name=COLLECTION, batch_size=8
            )
            server.chaos(0.4, dice.randrange(10**9), KINDS)
            grpc.faults.chaos(0.4, dice.randrange(10**9), KINDS, "GRPC /Points/Upsert")
            report = loader.load_sources([open_source(corpus)], prune=True)
            server.clear_faults()
            grpc.faults.clear()
            stored = _when_back(client)
            wanted = {point_id(one): row for one, row in rows.items()}
            totals["rounds"] += 1
            totals["retries"] += report.retries
            totals["lost"] += sum(
                key not in stored or not _is(stored[key][0], row) for key, row in wanted.items()
            )
            totals["doubled"] += len(stored.keys() - wanted.keys())
            said = (report.read, report.uploaded, report.updated, report.removed)
            true = (len(rows), changes["text"], changes["metadata"], changes["removed"])
            honest = said == true and report.points == report.verified == len(stored)
            totals["false reports"] += not honest
            if not honest:
                print(f"round {totals['rounds']}: said {report}, true {changes}", file=sys.stderr)
        totals["faults"] = sum(server.faulted.values())
        totals["faults over gRPC"] = sum(grpc.faults.faulted.values())
        client.close()
        return totals | {kind.__name__: count for kind, count in server.faulted.items()}


def _change(rows: dict[str, dict[str, Any]], dice: random.Random, turn: int) -> dict[str, int]:
    """Remove some rows, change the text of some and the metadata of others, add some."""
    there = list(rows)
    dice.shuffle(there)
    removed, text, metadata = there[:20], there[20:60], there[60:90]
    for one in removed:
        del rows[one]
    for one in text:
        rows[one]["text"] += f" {turn}"
    for one in metadata:
        rows[one]["turn"] = turn
    for number in range(200):
        one = f"{turn}-{number}" if number % 2 else str(turn * 1000 + number)
        rows[one] = {"id": one, "text": f"river {turn} {number}", "title": "king"}
    return {"removed": len(removed), "text": len(text) + 200, "metadata": len(metadata)}


def _when_back(client: QdrantClient) -> dict[Any, tuple[Any, Any]]:
    """All points, as soon as the server is back from its last restart."""
    while True:
        try:
            return dict(everything(client))
        except Exception:
            time.sleep(0.05)


def _is(payload: dict[str, Any], row: dict[str, Any]) -> bool:
    metadata = dict(payload["metadata"])
    metadata.pop("source")
    return {"text": payload["page_content"], **metadata} == row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kills-over-grpc", type=int, default=20)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.kills:  # first: a process that has used torch's threads does not fork well
            results["kills"] = killed_loads(Path(folder), options.kills, options.rows, options.seed)
        if options.kills_over_grpc:
            apart = Path(folder) / "grpc"
            apart.mkdir()
            with serving() as server:
                kills = options.kills_over_grpc
                results["kills over gRPC"] = killed_loads(
                    apart, kills, options.rows, options.seed, server
                )
        if options.faults:
            results["faults"] = faulty_loads(Path(folder), options.faults, options.seed)
    if options.json:
        print(json.dumps(results))
    else:
        for part, figures in results.items():
            print(part, *(f"  {name}: {value}" for name, value in figures.items()), sep="\n")
    wrong = ("missing", "too many", "different", "lost", "doubled", "false reports")
    return int(any(figures.get(name) for figures in results.values() for name in wrong))


if __name__ == "__main__":
    sys.exit(main())
