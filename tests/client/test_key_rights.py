"""Keys with fewer rights: what they suffice for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import Collection
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import StoreError
from rdr_qdrant.searcher import PassageSearcher
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.rights import Key

KEYS = {"reader": Key("read"), "one": Key(collections={"c": "rw"})}


@pytest.fixture
def url(tmp_path: Path, tiny: RDREmbeddings) -> Iterator[str]:
    """Of a server with a collection `c`."""
    with (
        EmbeddedQdrant(tmp_path / "behind") as backend,
        QdrantHTTPServer(backend, "owner", keys=KEYS) as server,
    ):
        client = connect(url=server.url, api_key="owner")
        Collection(client, "c").create(tiny.identity())
        client.close()
        yield server.url


def test_a_key_for_one_collection_suffices_to_load_and_search(
    url: str, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    client = connect(url=url, api_key="one")
    load = QdrantLoader(embeddings=tiny, client=client, collection_name="c").load
    assert load(passages).points == load(passages).unchanged == 6
    assert len(PassageSearcher(tiny, client, "c").search(["king"], k=3)[0]) == 3
    assert Collection(client, "c").describe().points == 6
    client.close()


def test_a_read_only_key_suffices_to_search(url: str, tiny: RDREmbeddings) -> None:
    client = connect(url=url, api_key="reader")
    assert PassageSearcher(tiny, client, "c").search(["king"], k=3) == [[]]
    assert Collection(client, "c").describe().points == 0
    with pytest.raises(StoreError, match="403"):
        Collection(client, "new").create(tiny.identity())
    client.close()
