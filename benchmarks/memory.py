"""Peak memory of a load that does everything but encode and store, at two sizes of the corpus.

    python benchmarks/memory.py [--rows 50000 1000000] [--json]

Rows are short JSON Lines. The encoder answers with zeros and the Qdrant
keeps nothing but how far it was written, so that what grows is the loader's own. Each size runs in
a process of its own; its peak is `ru_maxrss`. The largest may be 100 MiB above the smallest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rdr_qdrant import Passage

ROOT = Path(__file__).resolve().parents[1]
ALLOWED_MIB = 100
DIM = 8


class FreeEncoder:
    """Encodes everything as zeros; stands in for `RDREmbeddings`."""

    pair_label = "free"

    def token_counter(self) -> None:
        return None

    def fingerprint(self) -> str:
        return "free"

    def identity(self, *sides: Any) -> Any:
        return SimpleNamespace(dimension=DIM, to_metadata=dict)

    def encoding_threads(self) -> int:
        return 1

    def passages_at_a_time(self) -> int:
        return 256

    def tokenize_passages(self, passages: Sequence[Passage]) -> int:
        return len(passages)

    def encode_batches(self, tokens: int) -> Any:
        yield SimpleNamespace(
            positions=range(tokens),
            vectors=np.zeros((tokens, DIM), dtype=np.float32),
            truncated=[False] * tokens,
        )


class FreeQdrant:
    """Takes every point, keeps none, and finds all of them again; stands in for a client."""

    def __init__(self) -> None:
        self.created = False
        self.points = 0
        self._source = ""

    @property
    def http(self) -> Any:
        """A client without a server has none; so the caller's own thread writes."""
        raise NotImplementedError

    def collection_exists(self, name: str) -> bool:
        return self.created

    def get_collection(self, name: str) -> Any:
        config = SimpleNamespace(metadata=None, strict_mode_config=None)
        return SimpleNamespace(config=config, payload_schema={})

    def create_collection(self, name: str, **settings: Any) -> None:
        self.created = True

    def upsert(self, name: str, points: list[Any], wait: bool) -> None:
        self.points += len(points)
        self._source = points[0].payload["metadata"]["source"]

    def retrieve(self, name: str, ids: list[Any], with_payload: Any, with_vectors: bool) -> Any:
        if isinstance(with_payload, list):  # what is there before the load: nothing
            return []
        if with_payload is False:  # the count at the end: everything
            return [SimpleNamespace(id=one, payload=None) for one in ids]
        return [self._sent(one) for one in ids]

    def _sent(self, point_id: Any) -> Any:
        from rdr_qdrant.collection.payload import to_payload
        from rdr_qdrant.passages import Passage, content_hash

        row = row_of(point_id)
        passage = Passage(row["id"], row["text"], metadata={"source": self._source})
        payload = to_payload(passage, content_hash(passage, "free"))
        return SimpleNamespace(id=point_id, payload=payload, vector=[0.0] * DIM)

    def count(self, name: str, **options: Any) -> Any:
        return SimpleNamespace(count=self.points)


def row_of(number: int) -> dict[str, str]:
    return {"id": str(number), "text": f"short row {number}"}


def load(rows: int, folder: str) -> dict[str, float]:
    """The whole way of `rdr-qdrant ingest`, at no cost for vectors."""
    from rdr_qdrant import QdrantLoader
    from rdr_qdrant.readers import open_source

    path = Path(folder) / f"{rows}.jsonl"
    with path.open("w") as file:
        for number in range(rows):
            file.write(json.dumps(row_of(number)) + "\n")
    started = time.perf_counter()
    report = QdrantLoader(
        embeddings=FreeEncoder(),
        client=FreeQdrant(),  # type: ignore[arg-type]
        collection_name="free",
    ).load_sources([open_source(path)])
    seconds = time.perf_counter() - started
    assert report.uploaded == report.verified == report.points == rows, report
    assert report.compared == 100, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "peak MiB": peak, "seconds": seconds, "rows/s": rows / seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 1_000_000])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(load(options.rows[0], options.one)))
        return 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    results = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--rows", str(rows), "--one", folder]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
        results.append(json.loads(done.stdout.splitlines()[-1]))
    growth = results[-1]["peak MiB"] - results[0]["peak MiB"]
    if options.json:
        print(json.dumps({"loads": results, "growth MiB": growth, "allowed MiB": ALLOWED_MIB}))
    else:
        for one in results:
            print("  ".join(f"{name} {value:,.0f}" for name, value in one.items()))
        print(f"growth {growth:,.1f} MiB, allowed {ALLOWED_MIB}")
    return int(growth > ALLOWED_MIB)


if __name__ == "__main__":
    sys.exit(main())
