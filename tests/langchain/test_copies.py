"""A store and its retriever are copied with their clients, and pickled with their address."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rdr_qdrant import RDREmbeddings, RDRVectorStore, connect
from rdr_qdrant.errors import UsageError
from tests.conftest import COLLECTION

TEXTS = ["the king", "the river"]
QUESTION = "who is king"


def store_in(folder: str, tiny: RDREmbeddings) -> RDRVectorStore:
    client = connect(path=folder)
    options = {"client": client, "collection_name": COLLECTION, "batch_size": 7, "retry_for": 1.0}
    return RDRVectorStore.from_texts(TEXTS, tiny, **options)


@pytest.mark.parametrize("kind", ["copy", "deepcopy"])
def test_a_copy_of_a_store_shares_the_client(tiny: RDREmbeddings, kind: str) -> None:
    store = store_in(":memory:", tiny)
    expected = store.similarity_search_with_score(QUESTION)
    twin = getattr(copy, kind)(store)
    assert twin is not store
    assert twin.client is store.client
    assert twin.similarity_search_with_score(QUESTION) == expected
    retriever = getattr(copy, kind)(store.as_retriever(k=1))
    assert retriever.invoke(QUESTION) == [expected[0][0]]


def test_a_pickled_store_connects_again(
    tmp_path: Path, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = store_in("folder", tiny)
    expected = store.similarity_search_with_score(QUESTION)
    pickled = pickle.dumps(store)
    pickled_retriever = pickle.dumps(store.as_retriever(k=1, filter={"page": None}))
    store.client.close()
    monkeypatch.chdir("/")
    twin = pickle.loads(pickle.dumps(pickle.loads(pickled)))
    assert twin.similarity_search_with_score(QUESTION) == expected
    added = Document(id="new", page_content="the old king")
    assert twin.add_documents([added]) == ["new"]
    retriever = pickle.loads(pickled_retriever)
    assert retriever.search_kwargs == {"k": 1, "filter": {"page": None}}
    retriever.search_kwargs.pop("filter")
    assert len(retriever.invoke(QUESTION)) == 1
    retriever.vectorstore.client.close()
    twin.client.close()


def test_a_store_in_memory_is_not_pickled(tiny: RDREmbeddings) -> None:
    store = store_in(":memory:", tiny)
    for one in (store, store.as_retriever()):
        with pytest.raises(UsageError, match="cannot be pickled: only a client from connect"):
            pickle.dumps(one)
