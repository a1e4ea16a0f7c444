"""Loads on a cluster whose nodes see each change late: does any fail or leave settings changed?

Every request reaches one of three nodes, which sees a change of a collection or an alias 0 to
200 ms after it was made. A round is `ingest --bulk`, a load without it, `--recreate`, an alias swap
with `--drop-old`, a new payload index, or a deletion and a load.

    python benchmarks/late_cluster.py --loads 200 --json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from qdrant_client import QdrantClient

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import Aliases, Collection, CollectionSettings
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import RDRQdrantError
from tests.support.cluster import Cluster
from tests.support.qdrant_http_server import QdrantHTTPServer

KINDS = ("bulk", "load", "recreate", "swap", "index", "delete")
PASSAGES = [
    Passage(str(number), f"the river number {number} is in the north", "river", {"source": "here"})
    for number in range(12)
]


def load(client: QdrantClient, pair: RDREmbeddings, name: str, kind: str, number: int) -> None:
    """Load the passages in one of the ways."""
    passages = [replace(one, metadata={"source": "here", "round": number}) for one in PASSAGES]
    options: dict[str, object] = {"bulk": kind == "bulk"}
    if kind == "recreate":
        options |= {"recreate": True, "bulk": True}
    if kind == "swap":
        options |= {"swap_alias": True, "drop_old": True, "bulk": True}
    if kind == "index":
        settings = CollectionSettings(payload_indexes={f"field_{number}": "integer"})
        options["collection_settings"] = settings
    collection = Collection(client, name)
    if kind == "delete" and collection.exists():
        collection.delete()
    QdrantLoader(embeddings=pair, client=client, collection_name=name, **options).load(passages)  # type: ignore[arg-type]


def faults_after(backend: QdrantClient, name: str) -> list[str]:
    """What is not as it should be, seen without delay."""
    info = backend.get_collection(name)
    found = []
    if info.points_count != len(PASSAGES):
        found.append(f"{info.points_count} points")
    if info.config.optimizer_config.indexing_threshold == 0:
        found.append("index building is off")
    notes = sorted((info.config.metadata or {}).keys() - {"rdr_qdrant", "rdr_qdrant_creation"})
    return found + [f"note {note}" for note in notes]


def run(loads: int, seed: int) -> dict[str, object]:
    """Make the loads; returns how many failed or left something changed."""
    dice = random.Random(seed)
    failed: list[str] = []
    changed: list[str] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, EmbeddedQdrant(folder) as backend:
        pair = RDREmbeddings(model="demo")
        with QdrantHTTPServer(backend, cluster=Cluster(seed=seed)) as server:
            client = connect(url=server.url)
            for number in range(loads):
                kind = KINDS[number % len(KINDS)] if number < len(KINDS) else dice.choice(KINDS)
                name = "alias" if kind == "swap" else "c"
                try:
                    load(client, pair, name, kind, number)
                except RDRQdrantError as error:
                    failed.append(f"{number} {kind}: {error}")
                    continue
                changed += (f"{number} {kind}: {one}" for one in faults_after(backend, name))
                if kind == "swap" and len(Aliases(backend).collection_names()) > 2:
                    changed.append(f"{number} swap: {Aliases(backend).collection_names()}")
            client.close()
    seconds = round(time.monotonic() - started, 1)
    return {"loads": loads, "failed": failed, "changed": changed, "seconds": seconds}


def main() -> int:
    """Print the result; 1 if any load failed or left something changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.loads, options.seed)
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key}: {value}")
    return 1 if result["failed"] or result["changed"] else 0


if __name__ == "__main__":
    sys.exit(main())
