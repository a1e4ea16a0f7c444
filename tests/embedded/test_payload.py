"""Payload is stored as a server stores what qdrant-client sends it, whichever call writes it."""

import datetime
import decimal
import enum
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant.embedded import EmbeddedQdrant
from tests.support.qdrant_http_server import QdrantHTTPServer

PARAMS = models.VectorParams(size=2, distance=models.Distance.DOT)
VECTOR = [1.0, 2.0]


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    pass


class Number(int):
    pass


VALUES: dict[str, Any] = {
    "bytes": b"123",
    "decimal": decimal.Decimal("1.5"),
    "date": datetime.date(2026, 1, 2),
    "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "time": datetime.time(1, 2, 3),
    "duration": datetime.timedelta(days=1, seconds=2),
    "uuid": uuid.UUID(int=5),
    "enum": Colour.RED,
    "tuple": (1, "a", b"x"),
    "set": {7},
    "frozenset": frozenset({7}),
    "text subclass": Text("a"),
    "integer subclass": Number(3),
    "ordered dict": OrderedDict(b=1, a=b"2"),
    "nested": {"list": [b"1", {"deep": decimal.Decimal("2.50")}]},
    "integer of 64 bits": 2**63 - 1,
    "boolean": True,
    "none": None,
    "empty": {"list": [], "dict": {}, "text": ""},
    "unicode": "é\u0000\U0001f600",
    "float": 1e-300,
    "complex": 1j,
}


def _writers(client: QdrantClient) -> dict[str, Callable[[dict[str, Any]], Any]]:
    def operation(payload: dict[str, Any]) -> models.SetPayloadOperation:
        return models.SetPayloadOperation(
            set_payload=models.SetPayload(payload=payload, points=[1])
        )

    return {
        "upsert": lambda p: client.upsert(
            "c", [models.PointStruct(id=1, vector=VECTOR, payload=p)]
        ),
        "batch": lambda p: client.upsert(
            "c", models.Batch(ids=[1], vectors=[VECTOR], payloads=[p])
        ),
        "upload_points": lambda p: client.upload_points(
            "c", [models.PointStruct(id=1, vector=VECTOR, payload=p)], wait=True
        ),
        "upload_collection": lambda p: client.upload_collection(
            "c", [VECTOR], payload=[p], ids=[1], wait=True
        ),
        "set_payload": lambda p: client.set_payload("c", p, points=[1]),
        "overwrite_payload": lambda p: client.overwrite_payload("c", p, points=[1]),
        "batch_update_points": lambda p: client.batch_update_points("c", [operation(p)]),
    }


@pytest.fixture(scope="module")
def server() -> Iterator[QdrantClient]:
    with QdrantHTTPServer() as running:
        client = QdrantClient(url=running.url, check_compatibility=False)
        client.create_collection("c", PARAMS)
        yield client
        client.close()


@pytest.mark.parametrize("kind", VALUES)
def test_each_call_stores_what_a_server_would(
    embedded: EmbeddedQdrant, server: QdrantClient, kind: str
) -> None:
    embedded.create_collection("c", PARAMS)
    for client in (server, embedded):
        client.upsert("c", [models.PointStruct(id=1, vector=VECTOR)])
    server.upsert("c", [models.PointStruct(id=1, vector=VECTOR, payload={"k": VALUES[kind]})])
    expected = server.retrieve("c", [1])[0].payload
    for name, write in _writers(embedded).items():
        write({"k": VALUES[kind]})
        stored = embedded.retrieve("c", [1])[0].payload
        assert stored == expected, name
        assert type(stored["k"]) is type(expected["k"]), name
        embedded.clear_payload("c", [1])
    embedded.update_collection("c", metadata={"k": VALUES[kind]})
    metadata = embedded.get_collection("c").config.metadata
    assert metadata == (expected if VALUES[kind] is not None else {})  # None removes a key


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("-inf"),
        np.float64("nan"),
        decimal.Decimal,
        "\ud800",
        {"\udfff": 1},
        {"deep": ["\ud800"]},
        b"\xff",
        10**400,
        [-(10**400)],
        object(),
        {1: "a", "1": "b"},
        [{"x": {2: "a", "2": "b"}}],
    ],
    ids=lambda value: f"{value!r:.40}" if type(value) is not object else "object",
)
def test_what_json_cannot_hold_is_refused_by_every_call(
    embedded: EmbeddedQdrant, value: Any
) -> None:
    embedded.create_collection("c", PARAMS, metadata={"before": 1})
    embedded.upsert("c", [models.PointStruct(id=1, vector=VECTOR, payload={"before": 1})])
    for name, write in _writers(embedded).items():
        with pytest.raises(ValueError, match="Wrong input") as error:
            write({"k": value})
        assert "\n" not in str(error.value), name
        assert embedded.retrieve("c", [1])[0].payload == {"before": 1}, name
    for payload in ([1], "text", 5):
        with pytest.raises(ValueError, match="a payload is a mapping"):
            embedded.set_payload("c", payload, points=[1])
    with pytest.raises(ValueError, match="Wrong input"):
        embedded.update_collection("c", metadata={"k": value})
    with pytest.raises(ValueError, match="Wrong input"):
        embedded.create_collection("d", PARAMS, metadata={"k": value})
    assert embedded.get_collection("c").config.metadata == {"before": 1}


def test_a_payload_is_not_changed_by_the_call(embedded: EmbeddedQdrant) -> None:
    embedded.create_collection("c", PARAMS)
    payload = {"a": [b"1"], "b": {"c": decimal.Decimal(1)}}
    embedded.upsert("c", [models.PointStruct(id=1, vector=VECTOR, payload=payload)])
    assert payload == {"a": [b"1"], "b": {"c": decimal.Decimal(1)}}
