"""The way to the collection: opened when Qdrant is there, checked again whenever it was away."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.documents import Document

from examples.rag_backend.batching import BatchedEmbeddings
from examples.rag_backend.settings import Settings
from rdr_qdrant import RDREmbeddings, RDRQdrantError, RDRRetriever, connect
from rdr_qdrant.collection import Collection
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.registry import DEFAULT_MODEL, PAIRS, PairIdentity

logger = logging.getLogger(__name__)


@functools.cache
def _embeddings(
    model: str | None, context_encoder: str | None, question_encoder: str | None
) -> BatchedEmbeddings:
    """One of each pair in this process, however many back ends."""
    return BatchedEmbeddings(
        model=model, context_encoder=context_encoder, question_encoder=question_encoder
    )


class Retrieval:
    """Searches the collection of the settings, for as long as the back end runs.

    Attributes:
        reason: why it cannot be searched just now; `None` where it can.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reason: str | None = f"The collection {settings.collection!r} is being opened."
        self._client: Any = None
        self._embeddings: RDREmbeddings | None = None
        self._identity: PairIdentity | None = None
        self._retriever: RDRRetriever | None = None
        self._opening: asyncio.Task[RDRRetriever] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after the collection inside; afterwards the client is closed, its folder free."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            if self._opening is not None:
                await asyncio.wait([self._opening])
            if self._client is not None:
                await asyncio.to_thread(self._client.close)

    async def search(
        self,
        question: str,
        *,
        k: int,
        filter: Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
    ) -> list[Document]:
        """The best passages, best first.

        Raises:
            RDRQdrantError: Qdrant is away, or the collection is missing or of another pair.
            TimeoutError: it took longer than `search_seconds`.
        """
        asked = {"k": k, "filter": filter, "score_threshold": score_threshold}
        async with asyncio.timeout(self._settings.search_seconds):
            retriever = await self._opened()
            with self._noting():
                return await retriever.model_copy(update=asked).ainvoke(question)

    async def explain_no_results(self, filter: Mapping[str, Any]) -> str | None:
        """Name the keys of a filter that no passage has, for a search that found nothing.

        Raises:
            TimeoutError: it took longer than `search_seconds`.
        """
        collection = Collection(self._client, self._settings.collection)
        async with asyncio.timeout(self._settings.search_seconds):
            return await asyncio.to_thread(collection.explain_no_results, filter)

    @property
    def embeddings(self) -> RDREmbeddings:
        """The pair in use, once something was found with it."""
        assert self._embeddings is not None
        return self._embeddings

    async def _watch(self) -> None:
        """Open as soon as that can be, and see by itself that the collection is what it was."""
        while True:
            try:
                async with asyncio.timeout(self._settings.search_seconds):
                    if self._retriever is None:
                        await self._opened()
                    else:
                        with self._noting():
                            await asyncio.to_thread(self._check)
            except RDRQdrantError:
                pass  # noted; the next look may find it well
            except TimeoutError:
                self._note(
                    f"The collection {self._settings.collection!r} is still being opened: Qdrant "
                    "or the encoders take their time."
                    if self._opening is not None and not self._opening.done()
                    else "Qdrant does not answer in time."
                )
            except Exception:
                logger.exception("Looking after the collection failed.")
            await asyncio.sleep(self._settings.watch_seconds)

    async def _opened(self) -> RDRRetriever:
        """The retriever, opened by one task for all that wait for it."""
        if self._retriever is not None:
            return self._retriever
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        with self._noting():
            self._retriever = await asyncio.shield(self._opening)
        if self.reason is not None:
            logger.info("The collection %r can be searched.", self._settings.collection)
            self.reason = None
        return self._retriever

    def _open(self) -> RDRRetriever:
        """Connect, load the encoders, check that they made the collection, search once."""
        if self._client is None:
            self._client = self._connect()
        try:
            retriever = self._make_retriever()
            self._check()
        except CollectionError:
            if self._settings.qdrant_url is None:  # let go of the folder: somebody may load it
                self._client.close()
                self._client = None
            raise
        retriever.invoke("Is anybody there?")
        return retriever

    def _make_retriever(self) -> RDRRetriever:
        collection = Collection(self._client, self._settings.collection)
        if not collection.exists():
            collection.describe()  # says what there is, before any encoder is loaded
        if self._embeddings is None:
            self._embeddings = self._load_encoders(collection.recorded_model())
        return RDRRetriever(
            embeddings=self._embeddings,
            client=self._client,
            collection_name=self._settings.collection,
            k=self._settings.k,
        )

    def _connect(self) -> Any:
        """The one place where a client is made."""
        settings = self._settings
        if settings.qdrant_url is None:
            return connect(path=settings.qdrant_path)
        return connect(
            url=settings.qdrant_url,
            api_key=settings.qdrant_api_key,
            allow_key_over_http=settings.allow_key_over_http,
        )

    def _load_encoders(self, recorded: str | None) -> RDREmbeddings:
        """The pair of the settings, else the one that the collection names."""
        settings = self._settings
        if settings.context_encoder or settings.question_encoder:
            model = settings.model
        else:
            model = settings.model or (recorded if recorded in PAIRS else DEFAULT_MODEL)
        embeddings = _embeddings(model, settings.context_encoder, settings.question_encoder)
        self._identity = embeddings.identity(Side.QUESTION)
        embeddings.warm_up(Side.CONTEXT)
        return embeddings

    def _check(self) -> None:
        assert self._identity is not None
        Collection(self._client, self._settings.collection).check(self._identity)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except RDRQdrantError as error:
            self._note(str(error))
            raise

    def _note(self, reason: str) -> None:
        """Remember why it cannot be searched; what is found next is checked anew."""
        if reason != self.reason:
            logger.warning("%s", reason)
        self.reason = reason
        self._retriever = None
