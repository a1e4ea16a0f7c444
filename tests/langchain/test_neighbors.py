"""Every search of the vector store and the retriever takes `neighbors`, within its filter."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.documents import Document

from rdr_qdrant import RDRRetriever, RDRVectorStore
from rdr_qdrant.embedded import AsyncEmbeddedQdrant
from rdr_qdrant.errors import UsageError
from tests.conftest import COLLECTION
from tests.langchain.test_options import ASYNC_SEARCHES, QUESTION, SEARCHES

TENANTS = {1: "a", 2: "b", 3: "a", 4: "a", 5: "b"}
DOCUMENTS = [
    Document(id=f"t#{number}", page_content=f"king {number}", metadata={"tenant": tenant})
    for number, tenant in TENANTS.items()
]


def documents(found: list[Any]) -> list[Document]:
    return [one[0] if isinstance(one, tuple) else one for one in found]


def check(plain: list[Any], joined: list[Any], tenant: str) -> None:
    """One hit takes its neighbors; ids, order, scores and other metadata stay."""
    for before, after in zip(plain, joined, strict=True):
        if isinstance(before, tuple):
            assert after[1] == before[1]
    for before, after in zip(documents(plain), documents(joined), strict=True):
        neighbors = after.metadata.pop("neighbors")
        assert (after.id, after.metadata) == (before.id, before.metadata)
        assert after.page_content == " ".join(f"king {one[2:]}" for one in neighbors)
        assert before.id in neighbors
        assert {TENANTS[int(one[2:])] for one in neighbors} == {tenant}
        if tenant == "a" and len(joined) == 1 and before.id != "t#1":
            assert neighbors == ["t#3", "t#4"]


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_adds_neighbors(store: RDRVectorStore, name: str) -> None:
    for tenant in "ab":
        for k in (1, 3):
            options = {"k": k, "filter": {"tenant": tenant}}
            plain, joined = (
                SEARCHES[name](store, **options, **more) for more in ({}, {"neighbors": 4})
            )
            check(plain, joined, tenant)
    [alone] = documents(SEARCHES[name](store, k=1, neighbors=4))
    assert alone.page_content == "king 1 king 2 king 3 king 4 king 5"


@pytest.mark.parametrize("name", ASYNC_SEARCHES)
async def test_every_async_search_adds_neighbors(either_store: RDRVectorStore, name: str) -> None:
    for k in (1, 3):
        options = {"k": k, "filter": {"tenant": "a"}}
        plain, joined = [
            await ASYNC_SEARCHES[name](either_store, **options, **more)
            for more in ({}, {"neighbors": 4})
        ]
        check(plain, joined, "a")
    [alone] = documents(await ASYNC_SEARCHES[name](either_store, k=1, neighbors=4))
    assert alone.page_content == "king 1 king 2 king 3 king 4 king 5"


def test_mmr_joins_what_it_selects(store: RDRVectorStore) -> None:
    found = store.max_marginal_relevance_search(QUESTION, k=1, fetch_k=5, neighbors=1)
    assert len(found[0].metadata["neighbors"]) >= 2


@pytest.mark.parametrize("through", ["sync client", "async client"])
def test_the_retriever_adds_neighbors(store: RDRVectorStore, through: str) -> None:
    place: dict[str, Any] = {"client": store.client}
    if through == "async client":
        place["async_client"] = AsyncEmbeddedQdrant.from_client(store.client)
    options = {"embeddings": store.embeddings, "collection_name": COLLECTION, **place}
    retriever = RDRRetriever(**options, k=1, neighbors=1, filter={"tenant": ["a", "b"]})
    plain = RDRRetriever(**options, k=1).invoke(QUESTION)
    for joined in (
        retriever.invoke(QUESTION),
        asyncio.run(retriever.ainvoke(QUESTION)),
        RDRRetriever(**options, k=1).invoke(QUESTION, neighbors=1),
    ):
        [document] = joined
        number = int(plain[0].metadata["id"][2:])
        near = [one for one in (number - 1, number, number + 1) if one in TENANTS]
        assert document.page_content == " ".join(f"king {one}" for one in near)
        assert document.metadata["neighbors"] == [f"t#{one}" for one in near]
        assert document.metadata["score"] == plain[0].metadata["score"]
    [own] = retriever.invoke(QUESTION, filter={"tenant": TENANTS[number]})
    assert {TENANTS[int(one[2:])] for one in own.metadata["neighbors"]} == {TENANTS[number]}


def test_a_number_of_neighbors_out_of_range_is_refused(store: RDRVectorStore) -> None:
    with pytest.raises(ValueError, match="less than or equal to 100"):
        RDRRetriever(
            embeddings=store.embeddings,
            client=store.client,
            collection_name=COLLECTION,
            neighbors=101,
        )
    for search in (store.similarity_search, store.max_marginal_relevance_search):
        with pytest.raises(UsageError, match="neighbors is '1': it must be an integer"):
            search(QUESTION, neighbors="1")
