"""What is asked and answered, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from langchain_core.documents import Document
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

_Key = Annotated[str, StringConstraints(pattern=r'^[^"\\\x00-\x1f]+$', max_length=100)]
_Text = Annotated[str, StringConstraints(max_length=1000)]
_Integer = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
_Value = StrictBool | _Integer | _Text


class Asked(BaseModel):
    """A question, and which passages may answer it."""

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
    k: int | None = Field(default=None, ge=1, description="Passages; the back end's own if left.")
    filter: dict[_Key, _Value | Annotated[list[_Value], Field(max_length=100)]] = Field(
        default_factory=dict,
        max_length=10,
        description="Only passages whose metadata have these values; a list means any of them.",
    )
    score_threshold: float | None = Field(
        default=None, allow_inf_nan=False, description="Only passages of at least this score."
    )


class FoundPassage(BaseModel):
    """A passage; `rank` counts from 1, `score` is the raw inner product with the question."""

    rank: int
    id: str
    title: str
    text: str
    score: float
    metadata: dict[str, Any]

    @classmethod
    def of(cls, rank: int, document: Document) -> Self:
        """A document that `RDRRetriever` found."""
        own = {"id", "title", "score"}
        return cls(
            rank=rank,
            id=str(document.id),
            title=document.metadata["title"],
            text=document.page_content,
            score=document.metadata["score"],
            metadata={key: value for key, value in document.metadata.items() if key not in own},
        )


class Found(BaseModel):
    """What a search found, best first, and its seconds.

    `warning` says, where nothing was found, which keys of the filter no passage has.
    """

    passages: list[FoundPassage]
    seconds: float
    warning: str | None = None


class Mark(BaseModel):
    """The sentence of passage `rank` that answers best: characters `start` to `end` of its text."""

    rank: int
    start: int
    end: int


class Health(BaseModel):
    """Whether the collection can be searched, and if not, why."""

    status: Literal["ready", "not ready"]
    collection: str
    reason: str | None = None


class About(BaseModel):
    """What the page needs to know before anyone asks."""

    collection: str
    answers: Literal["quote", "model"]
    key_needed: bool
    question_characters: int
    k: int
    examples: list[str]
