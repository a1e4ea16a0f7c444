"""Loads the 240 example passages into an in-memory Qdrant for the examples in this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from qdrant_client import QdrantClient

from rdr_qdrant import CollectionSettings, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.readers import open_source

COLLECTION = "examples"
DATA = Path(__file__).parents[1] / "data"


@cache
def load_corpus() -> tuple[RDREmbeddings, QdrantClient]:
    """Return the demo pair, and a client of a Qdrant with the passages in `COLLECTION`."""
    embeddings = RDREmbeddings(model="demo")  # or RDREmbeddings(), the RDR pair from the hub
    client = connect(path=":memory:")  # or path="./qdrant_data", or url="http://localhost:6333"
    loader = QdrantLoader(
        embeddings=embeddings,
        client=client,
        collection_name=COLLECTION,
        collection_settings=CollectionSettings(bm25="english"),
    )
    loader.load_sources([open_source(str(DATA / "passages.tsv"))])
    return embeddings, client
