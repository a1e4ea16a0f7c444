"""The rates of the Ray executor's steps besides encoding: faster encoders would wait for them.

    python benchmarks/ray_steps.py [--passages 40000] [--source FILE.tsv] [--json]

Passages per second of each step alone, in one process: reading a `.tsv.gz` into encoded batches,
deduplicating, decoding in a worker. Reading scales with the files, decoding with the workers; there
is one deduplicator.

The passages are those of `--source` (a TSV with `id text title`), repeated as often as needed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rdr_qdrant.ingest.partitions import FilePartition, ReadOptions
from rdr_qdrant.ingest.ray.codec import decode_batch, encode_batch
from rdr_qdrant.ingest.ray.datasource import read_file
from rdr_qdrant.ingest.ray.deduplicator import Deduplicator

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "data" / "passages.tsv"
BATCH_SIZE = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=40_000)
    parser.add_argument("--source", type=Path, default=EXAMPLES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = write_passages(Path(folder) / "passages.tsv.gz", options.source, options.passages)
        rates = steps(file, options.passages)
    if options.json:
        print(json.dumps(rates))
        return
    for step, rate in rates.items():
        print(f"{step:28} {rate:10,.0f} passages/s")


def write_passages(file: Path, source: Path, count: int) -> Path:
    with source.open(newline="", encoding="utf-8") as given:
        rows = list(csv.DictReader(given, delimiter="\t"))
    with gzip.open(file, "wt", newline="", encoding="utf-8") as taken:
        table = csv.writer(taken, delimiter="\t")
        table.writerow(["id", "text", "title"])
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), count), start=1):
            table.writerow([number, row["text"], row["title"]])
    return file


def steps(file: Path, count: int) -> dict[str, float]:
    partition = FilePartition(file, file.name, ReadOptions())
    blocks, reading = timed(
        lambda: [encode_batch(one) for one in read_file(0, partition, BATCH_SIZE, lambda: False)]
    )
    deduplicator = Deduplicator(file.with_name("ids"), [file.name])
    deduplicated, deduplicating = timed(lambda: [deduplicator(block) for block in blocks])
    _, decoding = timed(lambda: [decode_batch(block) for block in deduplicated])
    return {
        "reading, per process": count / reading,
        "deduplicating": count / deduplicating,
        "decoding, per process": count / decoding,
    }


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main()
