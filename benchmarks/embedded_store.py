"""The embedded store beside the client's local mode, on the same points, in the same run.

    python benchmarks/embedded_store.py [--points 100000] [--queries 200] [--folder DIR] [--json]

Vectors: 768 float32 of unit length, made to lie as real embeddings do: 1,000 clusters in a space
of 64 dimensions, turned into 768 by a random map, with a tenth of plain noise. Queries come from
the same distribution. Recall@10 is against numpy's exact inner products.

Each store is loaded in one process of its own and opened and searched in another. Times are of the
client's calls only: `upsert` of 500 `PointStruct`s, the constructor with the first `count`, and
`query_points` with payload. Memory is the peak resident set as Linux counts it, file pages mapped
by the engine included; "anonymous" is what of it cannot be dropped for others.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

DIM, K, BATCH, CLUSTERS, LATENT = 768, 10, 500, 1000, 64
STORES = {"local mode": "local", "embedded": "embedded"}
# What must hold, embedded against local mode, at 100,000 points.
TARGETS = {"upserts/s": 10.0, "open s": 50.0, "ms/query": 5.0, "peak MB, search": 2.0}


def vectors(count: int, seed: int) -> np.ndarray:
    """[count, 768] float32, unit length; one map and one set of clusters for every seed."""
    shared, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = shared.standard_normal((CLUSTERS, LATENT), dtype=np.float32)
    turn = shared.standard_normal((LATENT, DIM), dtype=np.float32) / np.sqrt(LATENT)
    made = np.empty((count, DIM), dtype=np.float32)
    for start in range(0, count, 10_000):
        part = made[start : start + 10_000]
        latent = centres[rng.integers(0, CLUSTERS, len(part))]
        latent = latent + 0.6 * rng.standard_normal(latent.shape, dtype=np.float32)
        part[:] = latent @ turn + 0.1 * rng.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def opened(kind: str, folder: str) -> Any:
    """The client under test."""
    warnings.filterwarnings("ignore", category=UserWarning)
    if kind == "embedded":
        from rdr_qdrant.embedded import EmbeddedQdrant

        return EmbeddedQdrant(folder)
    from qdrant_client import QdrantClient

    return QdrantClient(path=folder)


def load(kind: str, folder: str, points: int) -> dict[str, float]:
    """Create the collection, upsert everything, build the index."""
    from qdrant_client import models

    data = np.load(Path(folder).parent / "data.npy", mmap_mode="r")
    client = opened(kind, folder)
    params = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    client.create_collection("bench", params)
    spent = 0.0
    for start in range(0, points, BATCH):
        batch = [
            models.PointStruct(id=i, vector=data[i].tolist(), payload=payload(i))
            for i in range(start, min(start + BATCH, points))
        ]
        before = time.perf_counter()
        client.upsert("bench", batch)
        spent += time.perf_counter() - before
    measured = {"upserts/s": points / spent, "peak MB, load": _peak()}
    if kind == "embedded":
        before = time.perf_counter()
        client.build_index("bench")
        measured["index s"] = time.perf_counter() - before
        measured["indexed points"] = client.get_collection("bench").indexed_vectors_count or 0
    client.close()
    return measured


def search(kind: str, folder: str, points: int, queries: int) -> dict[str, float]:
    """Open the folder, then ask."""
    asked = np.load(Path(folder).parent / "queries.npy")
    true = np.load(Path(folder).parent / "true.npy")
    import qdrant_client  # noqa: F401  its import is the same for both

    if kind == "embedded":
        import rdr_qdrant.embedded  # noqa: F401

    before = time.perf_counter()
    client = opened(kind, folder)
    assert client.count("bench").count == points
    measured = {"open s": time.perf_counter() - before}
    lists = asked.tolist()
    for vector in lists[:5]:
        client.query_points("bench", vector, limit=K)
    hits, before = 0, time.perf_counter()
    answers = [client.query_points("bench", vector, limit=K).points for vector in lists]
    measured["ms/query"] = (time.perf_counter() - before) / queries * 1e3
    for answer, best in zip(answers, true, strict=True):
        hits += len({point.id for point in answer} & set(best.tolist()))
    measured["recall@10"] = hits / (K * queries)
    measured["peak MB, search"] = _peak()
    measured["anonymous MB, search"] = _anonymous()
    client.close()
    return measured


def payload(i: int) -> dict[str, Any]:
    """What the loader stores beside a vector, in shape and size: a 100-word passage."""
    text = f"Passage {i} of the corpus, about nothing in particular, as long as such passages are. "
    return {"page_content": text * 7, "metadata": {"id": str(i), "title": f"Title {i}"}}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _anonymous() -> float:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith("RssAnon")), float("nan"))


def _in_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments]
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def compare(points: int, queries: int, folder: Path) -> dict[str, dict[str, float]]:
    """Every figure of every store."""
    data, asked = vectors(points, 1), vectors(queries, 2)
    np.save(folder / "data.npy", data)
    np.save(folder / "queries.npy", asked)
    np.save(folder / "true.npy", np.argsort(-(asked @ data.T), axis=1)[:, :K])
    del data
    sizes = (str(points), str(queries))
    results = {}
    for title, kind in STORES.items():
        place = str(folder / kind)
        loaded = _in_process("--one", "load", kind, place, *sizes)
        results[title] = {**loaded, **_in_process("--one", "search", kind, place, *sizes)}
    return results


def table(results: dict[str, dict[str, float]]) -> str:
    """The figures, and how many times better the embedded store is."""
    local, embedded = results["local mode"], results["embedded"]
    lines = [f"{'':24}{'local mode':>14}{'embedded':>14}{'better':>10}{'target':>9}"]
    for name in {**local, **embedded}:
        a, b = local.get(name), embedded[name]
        better = "" if a is None or "recall" in name else f"{b / a if '/s' in name else a / b:.1f}x"
        target = f"{TARGETS[name]:.0f}x" if name in TARGETS else ""
        shown = "-" if a is None else f"{a:,.3f}"
        lines.append(f"{name:24}{shown:>14}{b:>14,.3f}{better:>10}{target:>9}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", help="where to put the stores; default: a temporary folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        step, kind, place, points, queries = options.one
        if step == "load":
            print(json.dumps(load(kind, place, int(points))))
        else:
            print(json.dumps(search(kind, place, int(points), int(queries))))
        return
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        results = compare(options.points, options.queries, folder)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(results) if options.json else table(results))


if __name__ == "__main__":
    main()
