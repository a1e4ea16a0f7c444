"""Questions to passages, and LangChain's retriever on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from rdr_qdrant.collection import Collection, Hit, metadata_filter
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.forward import FloatArray

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from qdrant_client import models


class PassageSearcher:
    """Searches one collection with one pair; that they belong together is checked once.

    Args:
        embeddings: the pair whose question encoder reads the questions.
        client: from `connect`, or any `QdrantClient`.
        collection_name: where to search.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.
        search_params: Qdrant's own `models.SearchParams`. Hits of a quantized collection are
            rescored by the original vectors where they do not say otherwise.

    Raises:
        CollectionError: (on first use) the collection is missing or does not fit the pair.
    """

    def __init__(
        self,
        embeddings: RDREmbeddings,
        client: Any,
        collection_name: str,
        *,
        vector_name: str = "",
        allow_unverified: bool = False,
        search_params: models.SearchParams | None = None,
    ) -> None:
        self._search_params = search_params
        self._embeddings = embeddings
        self._collection = Collection(client, collection_name, vector_name)
        self._allow_unverified = allow_unverified
        self._checked = False

    def check(self) -> None:
        """Check that collection and pair belong together; once is enough for one connection."""
        if not self._checked:
            if not self._collection.exists():
                self._collection.describe()  # says what there is, before any encoder is loaded
            identity = self._embeddings.identity(Side.QUESTION)
            self._collection.check(identity, allow_unverified=self._allow_unverified)
            self._checked = True

    def search(
        self,
        questions: Sequence[str],
        *,
        k: int,
        filter: Mapping[str, Any] | models.Filter | None = None,
        score_threshold: float | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """For each question its best `k` passages, best first; scores are raw inner products."""
        return self.search_vectors(
            self.encode(questions),
            k=k,
            filter=filter,
            score_threshold=score_threshold,
            exact=exact,
        )

    def encode(self, questions: Sequence[str]) -> FloatArray:
        """Vectors of questions, float32 [n, dim], for `search_vectors`."""
        self.check()
        return self._embeddings.encode_questions(questions)

    def search_vectors(
        self,
        vectors: FloatArray,
        *,
        k: int,
        filter: Mapping[str, Any] | models.Filter | None = None,
        score_threshold: float | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """`search` for questions that are encoded already."""
        self.check()
        return self._collection.query(
            vectors,
            k=k,
            filter=metadata_filter(filter) if isinstance(filter, Mapping) else filter,
            score_threshold=score_threshold,
            exact=exact,
            search_params=self._search_params,
        )


class RDRRetriever(BaseRetriever):
    """LangChain retriever over a collection that `QdrantLoader` or `rdr-qdrant ingest` made.

    Setup:
        `pip install rdr-qdrant`

    Key init args:
        embeddings: an `RDREmbeddings` of the pair that made the collection.
        client: from `connect`, or any `QdrantClient`.
        collection_name: where to search.
        k: passages a question.
        filter: a dict of metadata (`{"title": "Faust"}`; a list means any of them), or Qdrant's
            own `models.Filter`.
        score_threshold: only passages with at least this raw inner product.
        exact: compare with every point instead of going through the index.
        search_params: Qdrant's own `models.SearchParams`. Hits of a quantized collection are
            rescored by the original vectors where they do not say otherwise.

    Instantiate and use:
        >>> from rdr_qdrant import RDREmbeddings, RDRRetriever, connect
        >>> retriever = RDRRetriever(
        ...     embeddings=RDREmbeddings(), client=connect(), collection_name="wiki", k=5
        ... )
        >>> documents = retriever.invoke("Who wrote Faust?")

    A document's `id` is the passage's id; its metadata are those of the passage with `id`, `title`
    and `score`, the raw inner product.
    """

    embeddings: RDREmbeddings
    client: Any = Field(repr=False)
    collection_name: str
    k: int = Field(default=4, ge=1)
    filter: Any = None
    score_threshold: float | None = None
    exact: bool = False
    vector_name: str = ""
    allow_unverified: bool = False
    search_params: Any = None

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    _searcher: PassageSearcher = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._searcher = PassageSearcher(
            self.embeddings,
            self.client,
            self.collection_name,
            vector_name=self.vector_name,
            allow_unverified=self.allow_unverified,
            search_params=self.search_params,
        )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = self._searcher.search(
            [query],
            k=self.k,
            filter=self.filter,
            score_threshold=self.score_threshold,
            exact=self.exact,
        )[0]
        return [to_document(hit) for hit in hits]


def to_document(hit: Hit) -> Document:
    """A found passage as a LangChain document."""
    passage = hit.passage
    own = {"id": passage.id, "title": passage.title, "score": hit.score}
    return Document(id=passage.id, page_content=passage.text, metadata={**passage.metadata, **own})
