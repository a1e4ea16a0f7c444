"""The 240 example passages in a Qdrant in memory, for the examples beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.readers import open_source

COLLECTION = "examples"
DATA = Path(__file__).parents[1] / "data"


@cache
def ready() -> tuple[RDREmbeddings, QdrantClient]:
    """The demo pair, and a client of a Qdrant that holds the passages as `COLLECTION`."""
    embeddings = RDREmbeddings(model="demo")  # or RDREmbeddings(), the RDR pair from the hub
    client = connect(path=":memory:")  # or path="./qdrant_data", or url="http://localhost:6333"
    loader = QdrantLoader(embeddings=embeddings, client=client, collection_name=COLLECTION)
    loader.load_sources([open_source(str(DATA / "passages.tsv"))])
    return embeddings, client
