"""Waiting for a server's index."""

from __future__ import annotations

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.collection import Collection
from rdr_qdrant.collection import bulk_indexing as index_module
from rdr_qdrant.errors import StoreError
from tests.conftest import COLLECTION


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "POLL_SECONDS", 0.01)


class Scripted:
    """`get_collection` answers with these states, one after the other."""

    def __init__(self, client: QdrantClient, states: list[str]) -> None:
        self._ask, self._states = client.get_collection, states
        self.updates = 0

    def __call__(self, name: str) -> models.CollectionInfo:
        info = self._ask(name)
        state = self._states.pop(0) if self._states else "green"
        return info.model_copy(update={"status": models.CollectionStatus(state)})


def test_yellow_is_waited_for_and_grey_is_woken_up(
    server: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection(server, COLLECTION)
    collection.create(tiny.identity())
    states = ["grey", "yellow", "green", "yellow", "green", "green"]
    monkeypatch.setattr(server, "get_collection", Scripted(server, states))
    woken = []
    update = server.update_collection
    monkeypatch.setattr(
        server, "update_collection", lambda *a, **k: woken.append(k) or update(*a, **k)
    )
    assert collection.bulk_indexing.wait_for_index()
    assert states == []
    assert [set(one) for one in woken] == [{"optimizers_config"}]


def test_failed_optimizers_are_an_error(
    server: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection(server, COLLECTION)
    collection.create(tiny.identity())
    monkeypatch.setattr(server, "get_collection", Scripted(server, ["yellow", "red"]))
    with pytest.raises(StoreError, match=r"failed to index .* \(status red"):
        collection.bulk_indexing.wait_for_index()
