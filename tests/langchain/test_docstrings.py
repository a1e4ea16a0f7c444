"""The examples in the classes' docstrings, run with the demo pair and an embedded Qdrant."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import rdr_qdrant
from rdr_qdrant import (
    BM25Embeddings,
    CollectionSettings,
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    RDRVectorStore,
    connect,
)


@pytest.mark.parametrize(
    "documented", [BM25Embeddings, RDREmbeddings, RDRRetriever, RDRVectorStore]
)
def test_the_docstring(
    documented: type, demo: RDREmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QDRANT_URL", raising=False)
    client = connect()
    faust = Passage("faust", "A tragedy by Goethe.", "Faust")
    settings = CollectionSettings(bm25="english")
    loader = QdrantLoader(
        embeddings=demo, client=client, collection_name="wiki", collection_settings=settings
    )
    loader.load([faust])
    client.close()
    monkeypatch.setattr(rdr_qdrant, "RDREmbeddings", lambda **_: demo, raising=False)
    runner = doctest.DocTestRunner()
    [test] = [
        one
        for one in doctest.DocTestFinder(recurse=False).find(documented, globs={})
        if one.examples
    ]
    output: list[str] = []
    assert runner.run(test, out=output.append).failed == 0, "".join(output)
