"""Request and response bodies."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self

from langchain_core.documents import Document
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from rdr_qdrant.collection import Mode

_Key = Annotated[str, StringConstraints(pattern=r'^[^"\\\x00-\x1f]+$', max_length=100)]
_Text = Annotated[str, StringConstraints(max_length=1000)]
_Integer = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
_Value = StrictBool | _Integer | _Text


PATH_KEYS = ("source", "file_path", "file_directory", "path")
"""Metadata keys in which `rdr-qdrant ingest` and LangChain's loaders store paths of files."""


class SearchRequest(BaseModel):
    """A question, and which passages to search."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"question": "Which river passes through ten countries?", "k": 3},
                {"question": "Where does it end?", "filter": {"title": "Danube"}},
            ]
        },
    )

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    k: int | None = Field(
        default=None, ge=1, description="Number of passages; by default the back end's RAG_K."
    )
    filter: dict[_Key, _Value | Annotated[list[_Value], Field(max_length=100)]] = Field(
        default_factory=dict,
        max_length=10,
        description="Only passages with these metadata values; a list matches any of its values.",
    )
    score_threshold: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Minimum score, in the modes dense and bm25; refused in mode hybrid.",
    )
    mode: Mode | None = Field(
        default=None,
        description="dense compares vectors, bm25 words, hybrid both; by default the back end's "
        "RAG_MODE. The last two need a collection with BM25.",
    )


class ScoredPassage(BaseModel):
    """A passage; `rank` counts from 1.

    `score` is that of the mode: in dense the raw inner product with the question, in bm25 the sum
    of the weights of the question's words, in hybrid both, normalised and added.
    """

    rank: int
    id: str
    title: str
    text: str
    score: float
    metadata: dict[str, Any]

    @classmethod
    def from_document(cls, rank: int, document: Document) -> Self:
        """Convert a document returned by `RDRRetriever`."""
        own = {"id", "title", "score"}
        return cls(
            rank=rank,
            id=str(document.id),
            title=document.metadata["title"],
            text=document.page_content,
            score=document.metadata["score"],
            metadata={
                key: _without_folders(key, value)
                for key, value in document.metadata.items()
                if key not in own
            },
        )


def _without_folders(key: str, value: Any) -> Any:
    """Reduce an absolute path of the server's file system to its file name."""
    if key not in PATH_KEYS or not isinstance(value, str):
        return value
    text = value.removeprefix("file://")
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute() or (path.drive and path.root):
            return path.name
    return value


class SearchResponse(BaseModel):
    """The passages, best first, how they were searched, for how many seconds, and warnings."""

    passages: list[ScoredPassage]
    mode: Mode
    seconds: float
    warnings: list[str] = Field(
        default_factory=list, description="For example: the filter has a key that does not exist."
    )


class Mark(BaseModel):
    """The best sentence of passage `rank`: characters `start` to `end` of its text."""

    rank: int
    start: int
    end: int


class Health(BaseModel):
    """Readiness. Only a request with the API key gets the collection, its mode and the reason."""

    status: Literal["ready", "not ready"]
    collection: str | None = None
    mode: Mode | None = None
    reason: str | None = None


class About(BaseModel):
    """Settings that the page needs before the first question.

    `mode` is that of requests that name none, `modes` are those that the collection allows.
    `collection`, `modes` and `examples` are empty for a request without the API key, if one is set.
    """

    collection: str | None
    answers: Literal["quote", "model"]
    key_needed: bool
    question_characters: int
    k: int
    mode: Mode
    modes: list[Mode]
    examples: list[str]
