"""What `rdr-qdrant plan` says of 100,000 points beside what an embedded collection of them takes.

    python -m benchmarks.plan [--points 100000] [--folder DIR] [--save FILE | --measured FILE]
    python -m benchmarks.plan --index-times [--points 100000]

Vectors are those of `embedded_store.py`; texts are 100 successive words out of the examples'
passages, and the rest of the payload is what the loader stores. Each collection is loaded in one
process and opened in another. The first has no quantization and a graph; the others are there for
their quantized vectors, which lie beside the originals as before, and have no graph: its size does
not depend on them, and it takes minutes to build. How long, `--index-times` tells: the engine
compares quantized vectors for it, where there are some.

Disk is what the files take, holes not counted, after the index was built; `peak` is the most that
was seen while it was. Memory is what the process grew by from before it opened the collection to
after it compared 20 questions with every vector: "heap" cannot be dropped for others, "mapped" is
file pages (the kernel's, which may be).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embedded_store import BATCH, DIM, vectors
from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.collection.payload import to_payload
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.embedded.disk_space import folder_bytes
from rdr_qdrant.passages import Passage
from rdr_qdrant.planning import PAYLOAD_BESIDE_TEXT, PlanInputs, plan
from rdr_qdrant.readers import RejectLog, open_source

WORDS, QUERIES, NAME = 100, 20, "plan"
LAYOUTS = ("none", "float16", "scalar", "product", "binary", "turbo")
PARTS = {
    "vectors": ("matrix.dat", "vectors/"),
    "quantized": ("quantized",),
    "graph": ("vector_index/",),
    "ids": ("id_tracker",),
    "payload": ("payload_storage/",),
    "log": ("wal/",),
}
"""Which files are which part of the plan."""


def payloads(count: int) -> Any:
    """Payloads as of an ingest of 100-word passages."""
    passages = list(open_source(str(example_data() / "passages.tsv")).passages(RejectLog()))
    words = " ".join(passage.text for passage in passages).split()
    for number in range(count):
        start = number * 7919 % (len(words) - WORDS)
        passage = Passage(
            id=str(number),
            title=passages[number % len(passages)].title,
            text=" ".join(words[start : start + WORDS]),
            metadata={"source": "psgs_w100.tsv.gz"},
        )
        yield to_payload(passage, hashlib.sha256(passage.id.encode()).hexdigest())


def settings(layout: str, *, graph: bool = False) -> dict[str, Any]:
    """How the collection of a layout is created."""
    from qdrant_client import models

    pinned = models.Memory.PINNED
    quantization = {
        "scalar": lambda: models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, memory=pinned)
        ),
        "product": lambda: models.ProductQuantization(
            product=models.ProductQuantizationConfig(
                compression=models.CompressionRatio.X16, memory=pinned
            )
        ),
        "binary": lambda: models.BinaryQuantization(
            binary=models.BinaryQuantizationConfig(memory=pinned)
        ),
        "turbo": lambda: models.TurboQuantization(
            turbo=models.TurboQuantQuantizationConfig(memory=pinned)
        ),
    }.get(layout)
    return {
        "vectors_config": models.VectorParams(
            size=DIM,
            distance=models.Distance.DOT,
            datatype=models.Datatype.FLOAT16 if layout == "float16" else None,
            on_disk=quantization is not None,
        ),
        "hnsw_config": None if graph or layout == "none" else models.HnswConfigDiff(m=0),
        "quantization_config": quantization() if quantization else None,
    }


def load(layout: str, folder: str, points: int, *, graph: bool = False) -> dict[str, float]:
    """Create, upsert, build the index."""
    from qdrant_client import models

    data = np.load(Path(folder).parent / "data.npy", mmap_mode="r")
    made, spent, json_bytes = payloads(points), 0.0, 0
    client = EmbeddedQdrant(folder)
    client.create_collection(NAME, **settings(layout, graph=graph))
    for start in range(0, points, BATCH):
        batch = [
            models.PointStruct(id=i, vector=data[i].tolist(), payload=next(made))
            for i in range(start, min(start + BATCH, points))
        ]
        json_bytes += sum(len(json.dumps(point.payload).encode()) for point in batch)
        before = time.perf_counter()
        client.upsert(NAME, batch)
        spent += time.perf_counter() - before
    measured = {
        "points/s": points / spent,
        "payload JSON": json_bytes / points,
        "loaded": float(client.disk_bytes(NAME)),
    }
    peak = [0]
    before = time.perf_counter()
    client.build_index(NAME, lambda _: peak.append(_bytes_now(Path(folder))))
    measured["index s"] = time.perf_counter() - before
    measured["peak"] = float(max(peak))
    client.close()
    return measured


def _bytes_now(folder: Path) -> int:
    """What the files take while they change; 0 where one went in the meantime."""
    try:
        return folder_bytes(folder)
    except FileNotFoundError:
        return 0


def look(layout: str, folder: str, points: int) -> dict[str, float]:
    """Open it, ask, and see what it takes."""
    from qdrant_client import models

    data = np.load(Path(folder).parent / "data.npy", mmap_mode="r")
    questions = data[:QUERIES].tolist()
    heap, mapped = _resident()
    client = EmbeddedQdrant(folder)
    exact = models.SearchParams(exact=layout in ("none", "float16"))
    for question in questions:
        assert client.query_points(NAME, question, limit=10, search_params=exact).points
    grown = _resident()
    info = client.get_collection(NAME)
    assert info.points_count == points
    return {
        "heap": grown[0] - heap,
        "mapped": grown[1] - mapped,
        "segments": info.segments_count,
        "disk": float(client.disk_bytes(NAME)),
        **{f"disk, {part}": size for part, size in _parts(Path(folder)).items()},
    }


def _parts(folder: Path) -> dict[str, float]:
    """Bytes on disk of each part of the collection."""
    sizes: Counter[str] = Counter()
    for file in folder.rglob("*"):
        if file.is_file():
            place = str(file.relative_to(folder))
            found = [p for p, marks in PARTS.items() if any(mark in place for mark in marks)]
            sizes[found[-1] if found else "rest"] += file.stat().st_blocks * 512
    return {part: float(sizes[part]) for part in (*PARTS, "rest")}


def _resident() -> tuple[float, float]:
    """Bytes of heap and of mapped files in RAM; a page that the engine maps twice counts once."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    heap, mapped = (float(fields[name].split()[0]) * 1024 for name in ("Pss_Anon", "Pss_File"))
    return heap, mapped


def _in_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.plan", "--one", *arguments]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure(points: int, folder: Path) -> dict[str, dict[str, float]]:
    """Every figure of every layout."""
    np.save(folder / "data.npy", vectors(points, 1))
    results = {}
    for layout in LAYOUTS:
        place = str(folder / layout)
        loaded = _in_process("load", layout, place, str(points))
        results[layout] = {**loaded, **_in_process("look", layout, place, str(points))}
        shutil.rmtree(place)
        print(layout, json.dumps(results[layout]), file=sys.stderr, flush=True)
    return results


def index_times(points: int, folder: Path) -> str:
    """A table: seconds to build the index of each layout, beside that without quantization."""
    np.save(folder / "data.npy", vectors(points, 1))
    seconds = {}
    for layout in LAYOUTS:
        place = str(folder / layout)
        seconds[layout] = _in_process("index", layout, place, str(points))["index s"]
        shutil.rmtree(place)
    lines = [f"{points:,} points{'seconds':>12}{'of none':>10}"]
    for layout, taken in seconds.items():
        lines.append(f"{layout:14}{taken:>12,.1f}{taken / seconds['none']:>10.2f}")
    return "\n".join(lines)


def compare(measured: dict[str, Any]) -> str:
    """A table: for each layout what was planned, what was measured, and the difference."""
    lines = [f"{'':24}{'planned MB':>12}{'measured MB':>13}{'difference':>12}"]
    for layout in LAYOUTS:
        found = measured[layout]
        inputs = PlanInputs(
            passages=measured["points"],
            dimension=DIM,
            text_bytes=round(found["payload JSON"]) - PAYLOAD_BESIDE_TEXT,
            quantizations=(layout,),
        )
        planned = plan(inputs)
        [whole] = planned.layouts
        parts = {part.name: part.value for part in planned.parts}
        graph = 0 if layout == "none" else parts["graph"]
        rows = {
            "RAM": (whole.ram - graph, found["heap"] + found["mapped"]),
            "disk": (whole.disk - graph, found["disk"]),
            "disk, at most": (whole.disk_peak - 2 * graph, found["peak"]),
        }
        if quantized := parts.get(f"quantized, {layout}"):
            rows["quantized"] = (quantized, found["disk, quantized"])
        if layout == "none":
            rows |= {
                part: (parts[part], found[f"disk, {part}"])
                for part in parts
                if f"disk, {part}" in found
            }
        lines.append(layout)
        for name, (expected, seen) in rows.items():
            away = f"{expected / seen - 1:+.1%}"
            lines.append(f"  {name:22}{expected / 1e6:>12,.1f}{seen / 1e6:>13,.1f}{away:>12}")
    one = measured["none"]
    lines.append(f"upload {one['points/s']:,.0f} points/s, index {one['index s']:,.0f} s")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--folder", help="where to put the collections; default: a temporary one")
    parser.add_argument("--save", type=Path, help="write what was measured here, as JSON")
    parser.add_argument("--measured", type=Path, help="compare with what --save wrote")
    parser.add_argument("--index-times", action="store_true", help="measure those, nothing else")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        step, layout, place, points = options.one
        if step == "look":
            found = look(layout, place, int(points))
        else:
            found = load(layout, place, int(points), graph=step == "index")
        print(json.dumps(found))
        return
    if options.index_times:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            print(index_times(options.points, Path(scratch)))
        return
    if options.measured:
        measured = json.loads(options.measured.read_text())
    else:
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            measured = {"points": options.points, **measure(options.points, folder)}
        finally:
            shutil.rmtree(folder)
    if options.save:
        options.save.write_text(json.dumps(measured, indent=1))
    print(compare(measured))


if __name__ == "__main__":
    main()
