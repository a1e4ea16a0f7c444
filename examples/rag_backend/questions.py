"""`/search` and `/ask`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.sse import EventSourceResponse, ServerSentEvent
from langchain_core.documents import Document

from examples.rag_backend.answering import ChatModelError, cited, stream_answer
from examples.rag_backend.guards import Admission, limits_rate, requires_key
from examples.rag_backend.monitoring import Metrics
from examples.rag_backend.problems import documented, problem_of
from examples.rag_backend.quoting import Quote, best_sentences
from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.schemas import Asked, Found, FoundPassage, Mark
from examples.rag_backend.settings import Settings
from rdr_qdrant import Passage, RDRQdrantError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

logger = logging.getLogger(__name__)

_EVENTS = """\
Server-sent events, each with JSON as its data:

- `passages`: what `/search` answers, at once;
- `token`: `{"text": ...}`, the next piece of the answer;
- `marks`: for the best passages, the sentence that answers best;
- `done`: `{"answers": "model" | "quote" | "nothing", "sources": [ranks], "seconds": {...}}`;
- `error`: problem details, where it fails on the way; nothing follows.

With a chat model set it writes the answer; else the best sentence is quoted word for word."""


@dataclass(frozen=True)
class Search:
    """A question and what was found for it."""

    question: str
    documents: list[Document]
    seconds: float
    warning: str | None = None

    def found(self) -> Found:
        """As it is answered."""
        passages = [FoundPassage.of(n, found) for n, found in enumerate(self.documents, start=1)]
        return Found(passages=passages, seconds=self.seconds, warning=self.warning)


def questions(
    settings: Settings, retrieval: Retrieval, metrics: Metrics, chat_model: "BaseChatModel | None"
) -> APIRouter:
    """The two routes that take questions, behind their guards."""
    router = APIRouter(tags=["questions"], responses=documented(401, 413, 422, 429, 503, 504))
    key = Depends(requires_key(settings))
    admission = Depends(Admission(settings.requests_at_once))

    async def search_for(asked: Asked) -> Search:
        _check_sizes(asked, settings)
        with metrics.stage("search") as took:
            documents = await retrieval.search(
                asked.question,
                k=asked.k or settings.k,
                filter=asked.filter or None,
                score_threshold=asked.score_threshold,
            )
        explained = asked.filter and not documents
        warning = await retrieval.explain_no_results(asked.filter) if explained else None
        return Search(asked.question, documents, took[0], warning)

    Searched = Annotated[Search, Depends(search_for)]  # noqa: N806

    @router.post(
        "/search",
        summary="The best passages for a question",
        dependencies=[Depends(limits_rate(settings.search_rate)), key, admission],
    )
    async def search(searched: Searched) -> Found:
        return searched.found()

    @router.post(
        "/ask",
        summary="The best passages, and an answer from them as it is made",
        description=_EVENTS,
        response_class=EventSourceResponse,
        dependencies=[Depends(limits_rate(settings.ask_rate)), key, admission],
    )
    async def ask(searched: Searched) -> AsyncIterator[ServerSentEvent]:
        yield _event("passages", searched.found().model_dump())
        try:
            async for event in _answer(searched):
                yield event
        except (RDRQdrantError, ChatModelError, TimeoutError) as error:
            logger.warning("An answer failed: %s", error or type(error).__name__)
            yield _event("error", problem_of(error))
        except Exception as error:
            logger.exception("An answer failed.")
            yield _event("error", problem_of(error))

    async def _answer(searched: Search) -> AsyncIterator[ServerSentEvent]:
        seconds = {"search": searched.seconds}
        if not searched.documents:
            yield _done("nothing", [], seconds)
            return
        quoting = asyncio.create_task(asyncio.to_thread(_quotes, searched))
        try:
            if chat_model is None:
                with metrics.stage("quote") as took:
                    quotes = await asyncio.wait_for(quoting, settings.answer_seconds)
                seconds["answer"] = took[0]
                if quotes:
                    yield _event("token", {"text": quotes[0].text})
                    yield _marks(quotes)
                    yield _done("quote", [quotes[0].passage + 1], seconds)
                else:
                    yield _done("nothing", [], seconds)
                return
            answer = ""
            with metrics.stage("answer") as took:
                async for text in stream_answer(
                    chat_model, searched.question, searched.documents, settings.answer_seconds
                ):
                    answer += text
                    yield _event("token", {"text": text})
            seconds["answer"] = took[0]
            yield _marks(await asyncio.wait_for(quoting, settings.answer_seconds))
            yield _done("model", cited(answer, len(searched.documents)), seconds)
        finally:
            quoting.cancel()

    def _quotes(searched: Search) -> list[Quote]:
        passages = [
            Passage(id="", title=found.metadata["title"], text=found.page_content)
            for found in searched.documents[: settings.quoted_passages]
        ]
        return best_sentences(retrieval.embeddings, searched.question, passages)

    return router


def _check_sizes(asked: Asked, settings: Settings) -> None:
    """What only the settings know the bounds of."""
    for name, value, most in (
        ("question", len(asked.question), settings.question_characters),
        ("k", asked.k or 0, settings.most_k),
    ):
        if value > most:
            what = "characters" if name == "question" else "passages"
            raise RequestValidationError(
                [{"loc": ("body", name), "msg": f"{value:,} {what}; at most {most:,} are taken"}]
            )


def _event(name: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data)


def _marks(quotes: list[Quote]) -> ServerSentEvent:
    marks = [Mark(rank=q.passage + 1, start=q.start, end=q.end).model_dump() for q in quotes]
    return _event("marks", {"marks": marks})


def _done(answers: str, sources: list[int], seconds: dict[str, float]) -> ServerSentEvent:
    total = {**seconds, "total": sum(seconds.values())}
    rounded = {name: round(value, 4) for name, value in total.items()}
    return _event("done", {"answers": answers, "sources": sources, "seconds": rounded})
