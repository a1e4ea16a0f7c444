"""A small corpus with payload of every kind, and its vectors."""

import uuid
from typing import Any

import numpy as np
from qdrant_client import models

DIM = 16
WORDS = ["red", "green", "blue", "Quick brown fox", "brown quick dog", ""]
MOMENTS = ["2023-01-01T00:00:00Z", "2023-06-15T12:30:00+02:00", "2024-02-29", "not a date"]


def payload_of(i: int) -> dict[str, Any]:
    """Payload with present, missing, null, empty and many-valued fields."""
    rng = np.random.default_rng(i)
    payload: dict[str, Any] = {"number": i % 7, "price": round(float(rng.uniform(-5, 5)), 2)}
    payload["word"] = WORDS[i % len(WORDS)]
    payload["flag"] = bool(i % 2)
    payload["when"] = MOMENTS[i % len(MOMENTS)]
    if i % 3:
        payload["tags"] = [WORDS[j] for j in range(i % 4)]
    if i % 5 == 0:
        payload["nothing"] = None
    if i % 5 == 1:
        payload["nothing"] = []
    if i % 5 == 2:
        payload["nothing"] = [None, 3]
    payload["metadata"] = {"source": f"file-{i % 4}", "page": i % 9, "deep": {"er": i % 2}}
    payload["parts"] = [{"kind": WORDS[j % 3], "size": (i + j) % 5} for j in range(i % 3)]
    payload["place"] = {"lon": -180.0 + (i * 37) % 360, "lat": -80.0 + (i * 17) % 160}
    return payload


def id_of(i: int) -> int | str:
    """Numbers and UUIDs, mixed."""
    return i if i % 4 else str(uuid.UUID(int=i * 7919 + 1))


def vectors_of(count: int, dim: int = DIM, seed: int = 0) -> np.ndarray[Any, Any]:
    """Vectors [count, dim], float32, no two alike."""
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def points_of(count: int, dim: int = DIM) -> list[models.PointStruct]:
    """The corpus as points."""
    vectors = vectors_of(count, dim)
    return [
        models.PointStruct(id=id_of(i), vector=vectors[i].tolist(), payload=payload_of(i))
        for i in range(count)
    ]
