"""RDRRetriever as LangChain uses it; tests/test_retriever.py tests its results."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, RDRRetriever
from rdr_qdrant.collection import AsyncCollection
from rdr_qdrant.errors import CollectionError, StoreError, UsageError
from tests.conftest import COLLECTION
from tests.langchain.conftest import AsyncFace

QUESTION = "who built the city?"
OTHER_QUESTION = "where is the river?"


@pytest.fixture
def retriever(client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]) -> RDRRetriever:
    QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION).load(passages)
    return RDRRetriever(embeddings=tiny, client=client, collection_name=COLLECTION, k=3)


def with_async_client_only(retriever: RDRRetriever, face: AsyncFace, **others: Any) -> RDRRetriever:
    """The same retriever, with an async client only."""
    fields = {"client": None, "async_client": face(), **others}
    return RDRRetriever(**(dict(retriever) | fields))


class Events(BaseCallbackHandler):
    """Records the callbacks of a retriever."""

    def __init__(self) -> None:
        self.started: list[tuple[str, list[str], dict[str, Any]]] = []
        self.ended: list[Sequence[Document]] = []
        self.failed: list[BaseException] = []

    def on_retriever_start(
        self,
        serialized: Any,
        query: str,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.started.append((query, tags or [], metadata or {}))

    def on_retriever_end(self, documents: Sequence[Document], **kwargs: Any) -> None:
        self.ended.append(documents)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.failed.append(error)


class AsyncEvents(Events, AsyncCallbackHandler):
    async def on_retriever_start(self, *given: Any, **named: Any) -> None:  # type: ignore[override]
        super().on_retriever_start(*given, **named)

    async def on_retriever_end(self, *given: Any, **named: Any) -> None:  # type: ignore[override]
        super().on_retriever_end(*given, **named)


async def test_an_async_client_alone_finds_the_same(
    retriever: RDRRetriever, async_face: AsyncFace
) -> None:
    awaited = with_async_client_only(retriever, async_face)
    expected = retriever.batch([QUESTION, OTHER_QUESTION])
    assert await awaited.ainvoke(QUESTION) == expected[0]
    assert await awaited.abatch([QUESTION, OTHER_QUESTION]) == expected
    narrow = models.Filter(
        must=[models.FieldCondition(key="metadata.title", match=models.MatchValue(value="king"))]
    )
    for options in ({"filter": {"title": "king"}, "k": 1}, {"filter": narrow, "exact": True}):
        assert await awaited.ainvoke(QUESTION, **options) == retriever.invoke(QUESTION, **options)
    with pytest.raises(UsageError, match="only an async client"):
        awaited.invoke(QUESTION)


async def test_without_an_async_client_a_thread_is_used(retriever: RDRRetriever) -> None:
    assert await retriever.ainvoke(QUESTION, k=2) == retriever.invoke(QUESTION, k=2)


def test_no_client_at_all_is_refused(tiny: RDREmbeddings) -> None:
    with pytest.raises(UsageError, match="No client to search 'wiki'"):
        RDRRetriever(embeddings=tiny, collection_name="wiki")


@pytest.mark.parametrize("with_async_client", [True, False])
async def test_the_encoder_does_not_block_the_event_loop(
    retriever: RDRRetriever,
    async_face: AsyncFace,
    monkeypatch: pytest.MonkeyPatch,
    with_async_client: bool,
) -> None:
    if with_async_client:
        retriever = with_async_client_only(retriever, async_face)
    released = threading.Event()
    encode = RDREmbeddings.encode_questions

    def waiting(self: RDREmbeddings, questions: Sequence[str]) -> Any:
        assert released.wait(10), "the event loop was blocked"
        return encode(self, questions)

    monkeypatch.setattr(RDREmbeddings, "encode_questions", waiting)
    task = asyncio.create_task(retriever.ainvoke(QUESTION))
    await asyncio.sleep(0.01)
    assert not task.done()
    released.set()
    assert len(await task) == 3


async def test_the_async_connection_is_checked_once(
    retriever: RDRRetriever,
    other: RDREmbeddings,
    async_face: AsyncFace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = []
    check = AsyncCollection.check

    async def counting(self: AsyncCollection, *given: Any, **named: Any) -> None:
        checked.append(self.name)
        await check(self, *given, **named)

    monkeypatch.setattr(AsyncCollection, "check", counting)
    awaited = with_async_client_only(retriever, async_face)
    await asyncio.gather(*(awaited.ainvoke(QUESTION) for _ in range(5)))
    await awaited.ainvoke(QUESTION)
    assert len(checked) == 1
    wrong = with_async_client_only(retriever, async_face, embeddings=other)
    for _ in range(2):
        with pytest.raises(CollectionError, match="was made with"):
            await wrong.ainvoke(QUESTION)


async def test_a_missing_collection_is_reported_before_any_encoder_is_loaded(
    client: QdrantClient, async_face: AsyncFace
) -> None:
    embeddings = RDREmbeddings(context_encoder="./no", question_encoder="./no")
    missing = RDRRetriever(
        embeddings=embeddings, async_client=async_face(), collection_name=COLLECTION
    )
    with pytest.raises(CollectionError, match=f"No collection '{COLLECTION}' in "):
        await missing.ainvoke(QUESTION)


async def test_an_error_of_qdrant_is_a_store_error(
    retriever: RDRRetriever, async_face: AsyncFace
) -> None:
    awaited = with_async_client_only(retriever, async_face)
    await awaited.ainvoke(QUESTION)
    retriever.client.delete_collection(COLLECTION)
    with pytest.raises(StoreError, match=COLLECTION):
        await awaited.ainvoke(QUESTION)


def test_options_of_one_call(retriever: RDRRetriever) -> None:
    assert len(retriever.invoke(QUESTION, k=1)) == 1
    assert len(retriever.bind(k=2).invoke(QUESTION)) == 2
    titles = [d.metadata["title"] for d in retriever.invoke(QUESTION, filter={"title": "king"})]
    assert titles == ["king", "king"]
    with pytest.raises(UsageError, match="no option top_k for a call. Options: k, filter"):
        retriever.invoke(QUESTION, top_k=1)
    for wrong in (0, "3", None):
        with pytest.raises(UsageError, match="must be an integer"):
            retriever.invoke(QUESTION, k=wrong)


def test_configurable_fields(retriever: RDRRetriever) -> None:
    configurable = retriever.configurable_fields(k=ConfigurableField(id="k"))
    assert len(configurable.invoke(QUESTION)) == 3
    assert len(configurable.invoke(QUESTION, config={"configurable": {"k": 1}})) == 1


def test_a_changed_copy_uses_its_own_fields(
    retriever: RDRRetriever, tiny: RDREmbeddings, client: QdrantClient
) -> None:
    name = f"{COLLECTION}-two"
    two = [Passage("x", "the king", "x")]
    QdrantLoader(embeddings=tiny, client=client, collection_name=name).load(two)
    copy = retriever.model_copy(update={"collection_name": name})
    assert [d.id for d in copy.invoke(QUESTION)] == ["x"]
    assert len(retriever.invoke(QUESTION)) == 3
    retriever.collection_name = name
    assert [d.id for d in retriever.invoke(QUESTION)] == ["x"]


def test_callbacks_tags_and_metadata(retriever: RDRRetriever) -> None:
    events = Events()
    tagged = retriever.model_copy(update={"tags": ["own"]}).with_config(
        tags=["mine"], metadata={"user": 7}, callbacks=[events], run_name="ask"
    )
    documents = tagged.invoke(QUESTION)
    [(query, tags, metadata)] = events.started
    assert query == QUESTION
    assert set(tags) == {"own", "mine"}
    assert metadata["user"] == 7
    assert events.ended == [documents]
    retriever.batch([QUESTION, OTHER_QUESTION], config={"callbacks": [events]})
    assert [query for query, _, _ in events.started[1:]] in (
        [QUESTION, OTHER_QUESTION],
        [OTHER_QUESTION, QUESTION],
    )
    with pytest.raises(UsageError):
        retriever.invoke(QUESTION, config={"callbacks": [events]}, k=0)
    assert isinstance(events.failed[0], UsageError)


async def test_async_callbacks(retriever: RDRRetriever, async_face: AsyncFace) -> None:
    events = AsyncEvents()
    documents = await with_async_client_only(retriever, async_face).ainvoke(
        QUESTION, config={"callbacks": [events], "tags": ["mine"]}
    )
    assert [tags for _, tags, _ in events.started] == [["mine"]]
    assert events.ended == [documents]


def test_repr_does_not_show_the_client(retriever: RDRRetriever) -> None:
    assert "lient" not in repr(retriever)
