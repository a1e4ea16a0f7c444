"""Measures the back end's `/search` under concurrent requests: errors and latency.

    python benchmarks/serving.py [--requests 200] [--at-once 20] [--url URL] [--json]

Without `--url` it starts a back end over the demo collection, loaded into a temporary folder. The
questions are those of the examples, repeated if there are fewer than requests. Latency is measured
at the client, from sending a request until its whole body has arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.cli.demo_command import COLLECTION, example_data
from rdr_qdrant.readers import RejectLog, open_source, read_questions

ROOT = Path(__file__).parents[1]


@contextmanager
def back_end() -> Iterator[str]:
    """Start a back end over the demo collection; yield its URL once it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        client = connect(path=folder)
        QdrantLoader(
            embeddings=RDREmbeddings(model="demo"), client=client, collection_name=COLLECTION
        ).load_sources([open_source(example_data() / "passages.tsv")])
        client.close()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAG_", "QDRANT_"))}
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "examples.rag_backend"],
                cwd=ROOT,
                env=environment | {"RAG_PORT": "0", "RAG_QDRANT_PATH": folder},
                stderr=file,
            )
        try:
            yield wait_until_ready(log, process)
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the URL from the back end's log once `/healthz` answers 200."""
    while process.poll() is None:
        found = re.search(r"running on (http://\S+)", log.read_text())
        if found and httpx.get(f"{found[1]}/healthz").status_code == 200:
            return found[1]
        time.sleep(0.2)
    sys.exit(f"The back end exited:\n{log.read_text()}")


async def measure(url: str, requests: int, at_once: int) -> tuple[list[float], Counter[str], float]:
    """Return the latencies in seconds, the counts by status, and the total duration."""
    questions = [q.text for q in read_questions(example_data() / "questions.tsv", RejectLog())]
    queue = iter(list(itertools.islice(itertools.cycle(questions), requests)))
    latencies: list[float] = []
    outcomes: Counter[str] = Counter()
    key = os.environ.get("RAG_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=60
    ) as client:
        await client.post("/search", json={"question": "warm?"})

        async def worker() -> None:
            for question in queue:
                started = time.perf_counter()
                try:
                    response = await client.post("/search", json={"question": question})
                    outcomes[str(response.status_code)] += 1
                except httpx.HTTPError as error:
                    outcomes[type(error).__name__] += 1
                latencies.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return latencies, outcomes, time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--url", help="a running back end; RAG_API_KEY is its key")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.url:
        latencies, outcomes, seconds = asyncio.run(
            measure(options.url, options.requests, options.at_once)
        )
    else:
        with back_end() as url:
            latencies, outcomes, seconds = asyncio.run(
                measure(url, options.requests, options.at_once)
            )
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    result = {
        "requests": options.requests,
        "at_once": options.at_once,
        "errors": options.requests - outcomes["200"],
        "ended": dict(outcomes),
        "p50_ms": round(cuts[49] * 1000, 1),
        "p95_ms": round(cuts[94] * 1000, 1),
        "requests_per_second": round(options.requests / seconds, 1),
        "cores": len(os.sched_getaffinity(0)),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{options.requests} requests, {options.at_once} concurrent, {result['cores']} cores")
        print(
            f"errors {result['errors']}   p50 {result['p50_ms']} ms   p95 {result['p95_ms']} ms   "
            f"{result['requests_per_second']} requests/s"
        )
    return 1 if result["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
