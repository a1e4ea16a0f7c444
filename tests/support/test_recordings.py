"""The test server against what a real server answered: the recordings beside the project."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from rdr_qdrant.embedded import EmbeddedQdrant
from tests.support.cluster import Cluster
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.rights import Key

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "qdrant-1.19.0" / "rest.jsonl"
CLUSTER = RECORDINGS.with_name("cluster.jsonl")
KEYS = {
    "manage": Key("manage"),
    "read-only": Key("read"),
    "rw": Key(collections={"a": "rw"}),
    "r": Key(collections={"a": "r"}),
    "other": Key(collections={"b": "rw"}),
    "expired": Key(expired=True),
}
KEY_OF_CASE = {
    "wrong key": "wrong",
    "bearer": "manage",
    "create with key": "manage",
    "with read-only key": "read-only",
    "jwt collection rw": "rw",
    "jwt collection r:": "r",
    "jwt other collection": "other",
    "jwt expired": "expired",
    "jwt global r": "read-only",
}
DIFFERENT = {"number over float32": "the engine behind the test server refuses it"}


def exchanges() -> list[dict[str, Any]]:
    """Those that can be asked: with their whole body and path."""
    found = [json.loads(line) for line in RECORDINGS.read_text().splitlines()]
    return [
        one
        for one in found
        if not isinstance(one["body"], str)
        and not (one["body"] is None and one["method"] in ("PUT", "POST"))
        and "..." not in one["path"]
        and one["case"] not in DIFFERENT
    ]


def refusal(status: int, answer: Any) -> tuple[int, str]:
    """Status and words, without where in a body that cannot be read the fault is."""
    words = answer["status"]["error"] if isinstance(answer, dict) else answer
    words = re.sub(r" at line \d+ column \d+$", "", words)
    unreadable = words.startswith("Format error in JSON body: Expected some form")
    return status, "Format error in JSON body: query" if unreadable else words


@pytest.mark.skipif(not RECORDINGS.is_file(), reason="the recordings beside the project are absent")
def test_statuses_and_refusals_are_those_of_a_real_server(tmp_path: Path) -> None:
    different = []
    asked = exchanges()
    first_with_key = next(n for n, one in enumerate(asked) if one["case"] == "no key")
    for number, part in enumerate((asked[:first_with_key], asked[first_with_key:])):
        with (
            EmbeddedQdrant(tmp_path / str(number)) as backend,
            QdrantHTTPServer(
                backend, version="1.19.0", keys=KEYS if number else None, clock=lambda: 0.0
            ) as server,
            httpx.Client(base_url=server.url, timeout=30) as http,
        ):
            for one in part:
                found = [key for case, key in KEY_OF_CASE.items() if case in one["case"]]
                headers = {"api-key": found[0]} if number and found else {}
                body = None if one["body"] is None else json.dumps(one["body"]).encode()
                answer = http.request(one["method"], one["path"], content=body, headers=headers)
                if answer.status_code == one["status"] < 400:
                    continue
                as_json = answer.headers.get("content-type", "").startswith("application/json")
                got = refusal(answer.status_code, answer.json() if as_json else answer.text)
                expected = refusal(one["status"], one["answer"])
                if got[0] != expected[0] or not got[1].startswith(expected[1]):
                    different.append((one["case"], expected, got))
    assert different == []
    assert len(asked) > 170


@pytest.mark.skipif(not CLUSTER.is_file(), reason="the recordings beside the project are absent")
def test_a_cluster_without_one_node_answers_as_a_real_one(tmp_path: Path) -> None:
    points = [{"id": number, "vector": [0.1, 0.2, 0.3, 0.4]} for number in range(60)]
    found = [json.loads(line) for line in CLUSTER.read_text().splitlines()]
    asked = [one for one in found if not one["case"].startswith("no majority")]
    cluster = Cluster((0.0, 0.0))
    different = []
    with (
        EmbeddedQdrant(tmp_path / "behind") as backend,
        QdrantHTTPServer(backend, version="1.19.0", cluster=cluster) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        for one in asked:
            cluster.node_down = one["case"].startswith("node down")
            body = {"points": points} if one["body"] == "..." else one["body"]
            answer = http.request(one["method"], one["path"], json=body)
            if answer.status_code != one["status"]:
                different.append((one["case"], one["status"], answer.text))
    assert different == []
    assert len(asked) == 25
