"""Request and response bodies."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from langchain_core.documents import Document
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

_Key = Annotated[str, StringConstraints(pattern=r"^[\w-]+(\.[\w-]+)*$", max_length=100)]
_Text = Annotated[str, StringConstraints(max_length=1000)]
_Integer = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
_Value = StrictBool | _Integer | _Text


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
        default=None, allow_inf_nan=False, description="Minimum score."
    )


class ScoredPassage(BaseModel):
    """A passage; `rank` counts from 1, `score` is the raw inner product with the question."""

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
            metadata={key: value for key, value in document.metadata.items() if key not in own},
        )


class SearchResponse(BaseModel):
    """The passages, best first, and the duration of the search in seconds."""

    passages: list[ScoredPassage]
    seconds: float


class Mark(BaseModel):
    """The best sentence of passage `rank`: characters `start` to `end` of its text."""

    rank: int
    start: int
    end: int


class Health(BaseModel):
    """Readiness of the collection, and the reason if it is not ready."""

    status: Literal["ready", "not ready"]
    collection: str
    reason: str | None = None


class About(BaseModel):
    """Settings that the page needs before the first question."""

    collection: str
    answers: Literal["quote", "model"]
    key_needed: bool
    question_characters: int
    k: int
    examples: list[str]
