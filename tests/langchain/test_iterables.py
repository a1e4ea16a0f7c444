"""Documents, texts, metadata and ids may be iterators; a single value is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from qdrant_client import QdrantClient

from rdr_qdrant import RDREmbeddings, RDRVectorStore, connect
from rdr_qdrant.errors import UsageError
from tests.conftest import COLLECTION

DOCUMENTS = [
    Document(id="river", page_content="the river", metadata={"title": "river", "year": 1}),
    Document(page_content="the king", metadata={"year": 2}),
]
TEXTS = [document.page_content for document in DOCUMENTS]
METADATAS = [document.metadata for document in DOCUMENTS]
IDS = ["river", "king"]

ADDITIONS: dict[str, Callable[[RDRVectorStore], Any]] = {
    "add_documents": lambda s: s.add_documents(iter(DOCUMENTS)),
    "add_documents, ids": lambda s: s.add_documents(iter(DOCUMENTS), ids=iter(IDS)),
    "add_texts": lambda s: s.add_texts(iter(TEXTS), iter(METADATAS), iter(IDS)),
    "aadd_documents": lambda s: asyncio.run(s.aadd_documents(iter(DOCUMENTS))),
    "aadd_texts": lambda s: asyncio.run(s.aadd_texts(iter(TEXTS), iter(METADATAS), ids=iter(IDS))),
    "from_documents": lambda s: RDRVectorStore.from_documents(
        iter(DOCUMENTS), s.embeddings, client=s.client, collection_name=COLLECTION
    ),
    "afrom_documents": lambda s: asyncio.run(
        RDRVectorStore.afrom_documents(
            iter(DOCUMENTS), s.embeddings, client=s.client, collection_name=COLLECTION
        )
    ),
    "from_texts": lambda s: RDRVectorStore.from_texts(
        iter(TEXTS),
        s.embeddings,
        iter(METADATAS),
        iter(IDS),
        client=s.client,
        collection_name=COLLECTION,
    ),
    "afrom_texts": lambda s: asyncio.run(
        RDRVectorStore.afrom_texts(
            iter(TEXTS),
            s.embeddings,
            iter(METADATAS),
            ids=iter(IDS),
            client=s.client,
            collection_name=COLLECTION,
        )
    ),
    "as_retriever": lambda s: s.as_retriever().add_documents(iter(DOCUMENTS)),
}


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = connect(path=":memory:")
    yield client
    client.close()


@pytest.fixture
def store(client: QdrantClient, tiny: RDREmbeddings) -> RDRVectorStore:
    return RDRVectorStore.from_texts([], tiny, client=client, collection_name=COLLECTION)


@pytest.mark.parametrize("name", ADDITIONS)
def test_iterators_are_added_like_lists(store: RDRVectorStore, name: str) -> None:
    added = ADDITIONS[name](store)
    assert not isinstance(added, list) or len(added) == 2
    found = store.similarity_search("king")
    assert {d.page_content: d.metadata for d in found} == dict(zip(TEXTS, METADATAS, strict=True))
    assert [d.page_content for d in store.get_by_ids(["river"])] == ["the river"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.add_texts("the king"), "texts is a str: pass a list"),
        (lambda s: s.add_texts(["the", "king"], ids="ab"), "ids is a str: pass a list"),
        (lambda s: s.add_texts(["the"], {"year": 1}), "metadatas is a dict: pass a list"),
        (lambda s: s.add_texts(["the"], ["year"]), "Metadata 1 is a str, not a dict"),
        (lambda s: s.add_texts(["the", 7]), "Text 2 is a int, not a string"),
        (lambda s: s.add_documents(DOCUMENTS[0]), "documents is a Document: pass a list"),
        (lambda s: s.add_documents("the king"), "documents is a str: pass a list"),
        (lambda s: s.add_documents([DOCUMENTS[0], "the"]), "Document 2 is a str, not a Document"),
        (lambda s: s.add_documents([{"page_content": "the"}]), "Document 1 is a dict"),
    ],
)
def test_a_value_of_another_type_is_refused(
    store: RDRVectorStore, call: Callable[[RDRVectorStore], Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        call(store)
    assert store.client.count(COLLECTION).count == 0


def test_one_id_may_be_a_string(store: RDRVectorStore) -> None:
    store.add_documents(DOCUMENTS)
    assert [d.id for d in store.get_by_ids("river")] == ["river"]
    assert store.delete("river")
    assert store.get_by_ids("river") == []
