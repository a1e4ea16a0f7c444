"""What `--engine ray` can move beside encoding: from what rate on do encoders wait for it?

    python benchmarks/ray_steps.py [--passages 40000] [--source FILE.tsv] [--json]

Passages a second of each step by itself, in one process: reading a `.tsv.gz` into blocks, the gate,
unpacking in a worker. Reading grows with the files, unpacking with the workers; there is one gate.

The passages are those of `--source` (a TSV with `id text title`), as often as it takes.
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

from rdr_qdrant.ingest.partitions import Reading
from rdr_qdrant.ingest.ray.codec import batch_of, block_of
from rdr_qdrant.ingest.ray.datasource import read_batches
from rdr_qdrant.ingest.ray.deduplicator import Gate

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "data" / "passages.tsv"
BATCH_SIZE = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=40_000)
    parser.add_argument("--source", type=Path, default=EXAMPLES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder) / "passages.tsv.gz", options.source, options.passages)
        rates = steps(file, options.passages)
    if options.json:
        print(json.dumps(rates))
        return
    for what, rate in rates.items():
        print(f"{what:28} {rate:10,.0f} passages/s")


def written(file: Path, source: Path, count: int) -> Path:
    with source.open(newline="", encoding="utf-8") as given:
        rows = list(csv.DictReader(given, delimiter="\t"))
    with gzip.open(file, "wt", newline="", encoding="utf-8") as taken:
        table = csv.writer(taken, delimiter="\t")
        table.writerow(["id", "text", "title"])
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), count), start=1):
            table.writerow([number, row["text"], row["title"]])
    return file


def steps(file: Path, count: int) -> dict[str, float]:
    reading = Reading(file, file.name, None, "")
    blocks, read = timed(
        lambda: [block_of(one) for one in read_batches(0, reading, BATCH_SIZE, lambda: False)]
    )
    gate = Gate(file.with_name("seen"), [file.name])
    judged, gated = timed(lambda: [gate(block) for block in blocks])
    _, unpacked = timed(lambda: [batch_of(block) for block in judged])
    return {
        "reading, a process": count / read,
        "gate": count / gated,
        "unpacking, a process": count / unpacked,
    }


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main()
