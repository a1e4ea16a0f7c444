"""Searches the collection; opens it once Qdrant is available, and again after every outage."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document

from examples.rag_backend.dynamic_batching import BatchedEmbeddings
from examples.rag_backend.settings import Settings
from rdr_qdrant import RDREmbeddings, RDRQdrantError, RDRRetriever, connect
from rdr_qdrant.client import (
    LimitExceededError,
    RateLimitedError,
    RequestTooLargeError,
    UnindexedFilterError,
)
from rdr_qdrant.collection import MODES, Collection, Mode, ResultLimitError
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import CollectionError, UsageError
from rdr_qdrant.registry import DEFAULT_MODEL, PAIRS, PairIdentity

logger = logging.getLogger(__name__)


@functools.cache
def _shared_embeddings(
    model: str | None, context_encoder: str | None, question_encoder: str | None
) -> BatchedEmbeddings:
    """Load each pair once per process, also for several applications."""
    return BatchedEmbeddings(
        model=model, context_encoder=context_encoder, question_encoder=question_encoder
    )


class InvalidSearchError(Exception):
    """The request asks for something that cannot be searched."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The documents found, best first, the mode of the search, and warnings about the request."""

    documents: list[Document]
    mode: Mode
    warnings: list[str]


class Retrieval:
    """Searches the collection of the settings.

    Attributes:
        reason: why the collection cannot be searched at present, or `None` if it can.
        modes: how the collection can be searched, as last seen.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reason: str | None = f"Opening the collection {settings.collection!r}."
        self.modes: tuple[Mode, ...] = (settings.mode,)
        self._client: Any = None
        self._embeddings: RDREmbeddings | None = None
        self._identity: PairIdentity | None = None
        self._retriever: RDRRetriever | None = None
        self._opening: asyncio.Task[RDRRetriever] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Monitor the collection inside the block; close the client afterwards."""
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
        mode: Mode | None = None,
    ) -> SearchResult:
        """Search the top passages, by default in the mode of the settings.

        Raises:
            InvalidSearchError: the filter is invalid, the collection lacks what the mode needs, or
                its strict mode refuses this filter or `k`.
            RDRQdrantError: Qdrant is unavailable, or the collection is missing or was made with
                another pair.
            TimeoutError: it took longer than `search_seconds`.
        """
        mode = mode or self._settings.mode
        options = {"k": k, "filter": filter, "score_threshold": score_threshold, "mode": mode}
        async with asyncio.timeout(self._settings.search_seconds):
            retriever = await self._open_once()
            if mode not in self.modes:
                raise InvalidSearchError(
                    f"The collection has no BM25, which the mode {mode} needs. Ask in mode dense. "
                    "Its operator can add BM25 with: rdr-qdrant index -c NAME --bm25"
                )
            with self._recording_failures():
                try:
                    documents = await retriever.model_copy(update=options).ainvoke(question)
                except RDRQdrantError as error:
                    problem = _problem_of_request(error, k)
                    if problem is None:
                        raise
                    raise InvalidSearchError(problem) from None
                warning = None
                if filter and not documents:
                    collection = Collection(self._client, self._settings.collection)
                    warning = await asyncio.to_thread(collection.explain_no_results, filter)
        return SearchResult(documents, mode, [warning] if warning else [])

    @property
    def embeddings(self) -> RDREmbeddings:
        """The encoder pair; available after the first search."""
        assert self._embeddings is not None
        return self._embeddings

    async def _watch(self) -> None:
        """Open the collection as soon as possible, then check it at intervals."""
        while True:
            try:
                async with asyncio.timeout(self._settings.search_seconds):
                    if self._retriever is None:
                        await self._open_once()
                    else:
                        with self._recording_failures():
                            await asyncio.to_thread(self._check)
            except RDRQdrantError:
                pass  # recorded; the next check may succeed
            except TimeoutError:
                self._record_failure(
                    f"Still opening the collection {self._settings.collection!r}: waiting for "
                    "Qdrant or the encoders."
                    if self._opening is not None and not self._opening.done()
                    else "Qdrant does not answer in time."
                )
            except Exception:
                logger.exception("The health check of the collection failed.")
            await asyncio.sleep(self._settings.watch_seconds)

    async def _open_once(self) -> RDRRetriever:
        """Return the retriever; one task opens it for all waiting requests."""
        if self._retriever is not None:
            return self._retriever
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        with self._recording_failures():
            self._retriever = await asyncio.shield(self._opening)
        if self.reason is not None:
            logger.info("The collection %r is ready.", self._settings.collection)
            self.reason = None
        return self._retriever

    def _open(self) -> RDRRetriever:
        """Connect, load the encoders, check them against the collection, and search once."""
        if self._client is None:
            self._client = self._connect()
        try:
            retriever = self._make_retriever()
            self._check()
        except CollectionError:
            if self._settings.qdrant_url is None:  # unlock the folder: another process may load it
                self._client.close()
                self._client = None
            raise
        retriever.invoke("A first question, to warm up.")
        return retriever

    def _make_retriever(self) -> RDRRetriever:
        collection = Collection(self._client, self._settings.collection)
        if not collection.exists():
            collection.describe()  # raises with a full message; no encoder is loaded yet
        if self._embeddings is None:
            self._embeddings = self._load_encoders(collection)
        return RDRRetriever(
            embeddings=self._embeddings,
            client=self._client,
            collection_name=self._settings.collection,
            k=self._settings.k,
            mode=self._settings.mode,
            neighbors=self._settings.neighbors,
        )

    def _connect(self) -> Any:
        """Create the client."""
        settings = self._settings
        if settings.qdrant_url is None:
            return connect(path=settings.qdrant_path)
        return connect(
            url=settings.qdrant_url,
            api_key=settings.qdrant_api_key,
            allow_key_over_http=settings.allow_key_over_http,
        )

    def _load_encoders(self, collection: Collection) -> RDREmbeddings:
        """Load the pair of the settings, by default the one that the collection names."""
        settings, recorded = self._settings, collection.recorded_model()
        if settings.context_encoder or settings.question_encoder:
            model = settings.model
        else:
            model = settings.model or (recorded if recorded in PAIRS else DEFAULT_MODEL)
        embeddings = _shared_embeddings(model, settings.context_encoder, settings.question_encoder)
        with collection.loading_encoders(embeddings.pair_label):
            self._identity = embeddings.identity(Side.QUESTION)
        embeddings.warm_up(Side.CONTEXT)
        return embeddings

    def _check(self) -> None:
        assert self._identity is not None
        collection = Collection(self._client, self._settings.collection)
        collection.check(self._identity)
        if self._settings.mode != "dense":
            collection.check_bm25()
        self.modes = MODES if collection.bm25.record() else ("dense",)

    @contextlib.contextmanager
    def _recording_failures(self) -> Iterator[None]:
        try:
            yield
        except RateLimitedError:
            raise  # only this request has to wait
        except RDRQdrantError as error:
            self._record_failure(str(error))
            raise

    def _record_failure(self, reason: str) -> None:
        """Store why the collection cannot be searched; the next search opens it again."""
        if reason != self.reason:
            logger.warning("%s", reason)
        self.reason = reason
        self._retriever = None


def _problem_of_request(error: RDRQdrantError, k: int) -> str | None:
    """Describe why a search for `k` passages would be refused again.

    An error's own message may name the server and the collection, which clients are not shown.

    Returns:
        What the client has to change; `None` for an error that another request would get too.
    """
    match error:
        case UsageError():
            return str(error)
        case UnindexedFilterError(field=field):
            return (
                f"No payload index serves the filter by {field!r}, and the collection filters by "
                "indexed fields only (strict mode). Leave it out, or have the collection's "
                f"operator add an index: rdr-qdrant ingest with --payload-index {field}:TYPE."
            )
        case ResultLimitError(limit=most) | LimitExceededError(name="limit", limit=most):
            if k > most:
                return (
                    f"k is {k}, and the collection returns at most {most} passages (strict mode): "
                    f"ask for k={most} or fewer."
                )
        case LimitExceededError(name="filter conditions", limit=most):
            return (
                f"The filter has more than {most} conditions, the most that the collection takes "
                "(strict mode): use fewer keys and values."
            )
        case RequestTooLargeError():
            return (
                "The request is larger than the collection allows: use a filter of fewer "
                "conditions."
            )
    return None
