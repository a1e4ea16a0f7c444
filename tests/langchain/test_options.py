"""Every entry point of RDRVectorStore does what an option says or refuses it by name.

LangChain's methods pass most of their arguments on as `**kwargs`, and some drop them: a filter that
is dropped shows one tenant the documents of another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from rdr_qdrant import RDRVectorStore
from rdr_qdrant.errors import UsageError
from tests.conftest import COLLECTION

QUESTION = "who built the city?"
VECTOR = [1.0] * 32
DOCUMENTS = [
    Document(id=f"{tenant}{i}", page_content=f"the king {i}", metadata={"tenant": tenant})
    for tenant in "ab"
    for i in range(6)
]
THRESHOLD = {"search_type": "similarity_score_threshold", "search_kwargs": {"score_threshold": 0.0}}

Call = Callable[..., Any]

SEARCHES: dict[str, Call] = {
    "similarity_search": lambda s, **o: s.similarity_search(QUESTION, **o),
    "similarity_search_by_vector": lambda s, **o: s.similarity_search_by_vector(VECTOR, **o),
    "similarity_search_with_score": lambda s, **o: s.similarity_search_with_score(QUESTION, **o),
    "similarity_search_with_score_by_vector": lambda s, **o: (
        s.similarity_search_with_score_by_vector(VECTOR, **o)
    ),
    "similarity_search_with_relevance_scores": lambda s, **o: (
        s.similarity_search_with_relevance_scores(QUESTION, **o)
    ),
    "max_marginal_relevance_search": lambda s, **o: s.max_marginal_relevance_search(QUESTION, **o),
    "max_marginal_relevance_search_by_vector": lambda s, **o: (
        s.max_marginal_relevance_search_by_vector(VECTOR, **o)
    ),
    "max_marginal_relevance_search_with_score_by_vector": lambda s, **o: (
        s.max_marginal_relevance_search_with_score_by_vector(VECTOR, **o)
    ),
    "search": lambda s, **o: s.search(QUESTION, "similarity", **o),
    "search, mmr": lambda s, **o: s.search(QUESTION, "mmr", **o),
    "search, threshold": lambda s, **o: s.search(QUESTION, "similarity_score_threshold", **o),
    "as_retriever": lambda s, **o: s.as_retriever(**o).invoke(QUESTION),
    "as_retriever, mmr": lambda s, **o: s.as_retriever(search_type="mmr", **o).invoke(QUESTION),
    "as_retriever, threshold": lambda s, **o: s.as_retriever(**THRESHOLD, **o).invoke(QUESTION),
    "as_retriever, search_kwargs": lambda s, **o: s.as_retriever(search_kwargs=o).invoke(QUESTION),
    "as_retriever, invoke": lambda s, **o: s.as_retriever().invoke(QUESTION, **o),
    "as_retriever, batch": lambda s, **o: s.as_retriever().batch([QUESTION], **o)[0],
    "as_retriever, bind": lambda s, **o: s.as_retriever().bind(**o).invoke(QUESTION),
}

ASYNC_SEARCHES: dict[str, Call] = {
    "asimilarity_search": lambda s, **o: s.asimilarity_search(QUESTION, **o),
    "asimilarity_search_by_vector": lambda s, **o: s.asimilarity_search_by_vector(VECTOR, **o),
    "asimilarity_search_with_score": lambda s, **o: s.asimilarity_search_with_score(QUESTION, **o),
    "asimilarity_search_with_relevance_scores": lambda s, **o: (
        s.asimilarity_search_with_relevance_scores(QUESTION, **o)
    ),
    "amax_marginal_relevance_search": lambda s, **o: s.amax_marginal_relevance_search(
        QUESTION, **o
    ),
    "amax_marginal_relevance_search_by_vector": lambda s, **o: (
        s.amax_marginal_relevance_search_by_vector(VECTOR, **o)
    ),
    "asearch": lambda s, **o: s.asearch(QUESTION, "similarity", **o),
    "asearch, mmr": lambda s, **o: s.asearch(QUESTION, "mmr", **o),
    "asearch, threshold": lambda s, **o: s.asearch(QUESTION, "similarity_score_threshold", **o),
    "as_retriever, ainvoke": lambda s, **o: s.as_retriever(**o).ainvoke(QUESTION),
    "as_retriever, mmr, ainvoke": lambda s, **o: s.as_retriever(search_type="mmr", **o).ainvoke(
        QUESTION
    ),
    "as_retriever, threshold, ainvoke": lambda s, **o: s.as_retriever(**THRESHOLD, **o).ainvoke(
        QUESTION
    ),
}

CHANGES: dict[str, Call] = {
    "add_texts": lambda s, **o: s.add_texts(["the king"], **o),
    "add_documents": lambda s, **o: s.add_documents(DOCUMENTS[:1], **o),
    "delete": lambda s, **o: s.delete(["a0"], **o),
    "from_texts": lambda s, **o: type(s).from_texts(["the king"], s.embeddings, **_place(s), **o),
    "from_documents": lambda s, **o: type(s).from_documents(
        DOCUMENTS[:1], s.embeddings, **_place(s), **o
    ),
    "from_existing_collection": lambda s, **o: type(s).from_existing_collection(
        embedding=s.embeddings, **_place(s), **o
    ),
    "construct_instance": lambda s, **o: type(s).construct_instance(s.embeddings, **o),
}

ASYNC_CHANGES: dict[str, Call] = {
    "aadd_texts": lambda s, **o: s.aadd_texts(["the king"], **o),
    "aadd_documents": lambda s, **o: s.aadd_documents(DOCUMENTS[:1], **o),
    "adelete": lambda s, **o: s.adelete(["a0"], **o),
    "afrom_texts": lambda s, **o: type(s).afrom_texts(["the king"], s.embeddings, **_place(s), **o),
    "afrom_documents": lambda s, **o: type(s).afrom_documents(
        DOCUMENTS[:1], s.embeddings, **_place(s), **o
    ),
}


def _place(store: RDRVectorStore) -> dict[str, Any]:
    return {"client": store.client, "collection_name": store.collection_name}


def tenants(found: list[Any]) -> list[str]:
    documents = [one[0] if isinstance(one, tuple) else one for one in found]
    return [document.metadata["tenant"] for document in documents]


def test_the_tables_name_every_entry_point_that_takes_options() -> None:
    listed = {
        name.split(",")[0]
        for table in (SEARCHES, ASYNC_SEARCHES, CHANGES, ASYNC_CHANGES)
        for name in table
    }
    takes_options = {
        name
        for name, method in inspect.getmembers(RDRVectorStore, callable)
        if not name.startswith("_")
        and any(
            parameter.kind is parameter.VAR_KEYWORD
            for parameter in inspect.signature(method).parameters.values()
        )
    }
    assert takes_options == listed
    assert {name for name in vars(VectorStore) if "search" in name and name[0] != "_"} <= listed


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_keeps_its_filter_and_k(store: RDRVectorStore, name: str) -> None:
    found = SEARCHES[name](store, k=5, filter={"tenant": "a"})
    assert tenants(found) == ["a"] * 5


@pytest.mark.parametrize("name", ASYNC_SEARCHES)
async def test_every_async_search_keeps_its_filter_and_k(
    either_store: RDRVectorStore, name: str
) -> None:
    found = await ASYNC_SEARCHES[name](either_store, k=5, filter={"tenant": "a"})
    assert tenants(found) == ["a"] * 5


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_warns_about_unknown_filter_keys(
    store: RDRVectorStore, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    key = f"tennant of {name}"  # a key is looked for once a minute
    assert SEARCHES[name](store, filter={key: "a"}) == []
    assert f"No passage has the metadata '{key}'. There are: id, tenant" in caplog.text


@pytest.mark.parametrize("name", ASYNC_SEARCHES)
async def test_every_async_search_warns_about_unknown_filter_keys(
    either_store: RDRVectorStore, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    key = f"tennant of {name}"
    assert await ASYNC_SEARCHES[name](either_store, filter={key: "a"}) == []
    assert f"No passage has the metadata '{key}'. There are: id, tenant" in caplog.text


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_refuses_unknown_options(store: RDRVectorStore, name: str) -> None:
    for option in ("filtre", "with_vectors", "top_k", "consistency"):
        with pytest.raises(UsageError, match=f"no option {option} .*Options: k, filter"):
            SEARCHES[name](store, **{option: "tomato"})


@pytest.mark.parametrize("name", ASYNC_SEARCHES)
async def test_every_async_search_refuses_unknown_options(
    either_store: RDRVectorStore, name: str
) -> None:
    with pytest.raises(UsageError, match="no option filtre .*Options: k, filter"):
        await ASYNC_SEARCHES[name](either_store, filtre={"tenant": "a"})


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_refuses_unknown_options(store: RDRVectorStore, name: str) -> None:
    with pytest.raises(UsageError, match="filter|construct_instance") as raised:
        CHANGES[name](store, filter={"tenant": "tomato"})
    assert "tomato" not in str(raised.value)
    assert store.client.count(COLLECTION).count == 12


@pytest.mark.parametrize("name", ASYNC_CHANGES)
async def test_every_async_change_refuses_unknown_options(
    either_store: RDRVectorStore, name: str
) -> None:
    with pytest.raises(UsageError, match="filter"):
        await ASYNC_CHANGES[name](either_store, filter={"tenant": "a"})
    assert either_store.client.count(COLLECTION).count == 12


def test_an_option_given_twice_is_refused(store: RDRVectorStore) -> None:
    with pytest.raises(UsageError, match="k twice"):
        store.as_retriever(k=1, search_kwargs={"k": 2})


def test_fields_of_the_retriever_are_kept(store: RDRVectorStore) -> None:
    retriever = store.as_retriever(tags=["mine"], metadata={"user": 7}, k=1)
    assert (retriever.tags, retriever.metadata) == (["mine"], {"user": 7})
    assert store.as_retriever().tags == ["RDRVectorStore", "RDREmbeddings"]


@pytest.mark.parametrize("k", [0, -1, None, "3"])
def test_k_must_be_a_positive_integer(store: RDRVectorStore, k: object) -> None:
    for search in (store.similarity_search, store.max_marginal_relevance_search):
        with pytest.raises(UsageError, match="must be an integer"):
            search(QUESTION, k=k)


def test_mmr_returns_k_documents_even_above_fetch_k(store: RDRVectorStore) -> None:
    assert len(store.max_marginal_relevance_search(QUESTION, k=10, fetch_k=3)) == 10
