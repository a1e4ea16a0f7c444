"""Peak memory of `encode` and of `ingest DIR`, with few shards and with many.

    python benchmarks/shards_memory.py [--shards 5 50] [--json]

As benchmarks/memory.py: the encoder is free (vectors of 768 zeros) and the Qdrant keeps nothing, so
that what grows is our own. Shards hold 2,000 passages. Each step runs in a process of its own; its
peak is `ru_maxrss`. With the most shards it may be 100 MiB above that with the fewest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import memory

ROOT = Path(__file__).resolve().parents[1]
ROWS_A_SHARD = 2_000
STEPS = ("encode", "ingest DIR")

memory.DIM = 768


class FreeEncoder(memory.FreeEncoder):
    """With an identity that a manifest can hold."""

    def identity(self, *sides: Any) -> Any:
        from rdr_qdrant.registry import PairIdentity

        return PairIdentity("free", "free", "free", memory.DIM, 256, "", (0.0,), (0.0,))


def encode(rows: int, folder: Path) -> None:
    from rdr_qdrant import ShardEncoder
    from rdr_qdrant.readers import open_source

    path = folder / "rows.jsonl"
    with path.open("w") as file:
        for number in range(rows):
            file.write(json.dumps(memory.row_of(number)) + "\n")
    encoder = ShardEncoder(
        embeddings=FreeEncoder(), folder=folder / "shards", shard_size=ROWS_A_SHARD
    )
    report = encoder.encode_sources([open_source(path)])
    assert (report.encoded, report.shards) == (rows, rows // ROWS_A_SHARD), report


def ingest(rows: int, folder: Path) -> None:
    from rdr_qdrant import QdrantLoader, ShardFolder

    shards = ShardFolder(folder / "shards")
    report = QdrantLoader(
        embeddings=shards.vectors(),
        client=memory.FreeQdrant(),  # type: ignore[arg-type]
        collection_name="free",
    ).load_sources(shards.sources())
    assert report.uploaded == report.verified == report.points == rows, report
    assert report.compared == 100, report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[5, 50])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        step, folder = options.one
        rows = options.shards[0] * ROWS_A_SHARD
        (encode if step == "encode" else ingest)(rows, Path(folder))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    peaks: dict[str, list[float]] = {step: [] for step in STEPS}
    for shards in options.shards:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                command = [sys.executable, __file__, "--shards", str(shards), "--one", step, folder]
                done = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True, env=environment
                )
                peaks[step].append(float(done.stdout.splitlines()[-1]))
    growth = {step: found[-1] - found[0] for step, found in peaks.items()}
    if options.json:
        print(json.dumps({"peak MiB": peaks, "growth MiB": growth, "allowed": memory.ALLOWED_MIB}))
    else:
        for step, found in peaks.items():
            for shards, peak in zip(options.shards, found, strict=True):
                print(f"{step:<10}  {shards:>5} shards  peak {peak:,.0f} MiB")
            print(f"{step:<10}  growth {growth[step]:,.1f} MiB, allowed {memory.ALLOWED_MIB}")
    return int(max(growth.values()) > memory.ALLOWED_MIB)


if __name__ == "__main__":
    sys.exit(main())
