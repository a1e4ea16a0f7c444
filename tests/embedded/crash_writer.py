"""A process for the crash test to kill: upserts, and prints the last acknowledged id.

python crash_writer.py FOLDER FIRST_ID
"""

import sys

import numpy as np
from qdrant_client import models

from rdr_qdrant.embedded import EmbeddedQdrant

DIM, BATCH = 64, 50


def main(folder: str, first: int) -> None:
    client = EmbeddedQdrant(folder)
    if not client.collection_exists("crash"):
        client.create_collection("crash", models.VectorParams(size=DIM, distance="Dot"))
    for start in range(first, first + 10_000_000, BATCH):
        points = [
            models.PointStruct(id=i, vector=vector_of(i).tolist(), payload={"i": i})
            for i in range(start, start + BATCH)
        ]
        client.upsert("crash", points)
        sys.stdout.write(f"{start + BATCH}\n")
        sys.stdout.flush()
        if (start // BATCH) % 97 == 96:
            client.build_index("crash")


def vector_of(i: int) -> np.ndarray:
    return np.full(DIM, i % 1000, dtype=np.float32)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
