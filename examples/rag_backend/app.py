"""The application: its parts put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

import rdr_qdrant
from examples.rag_backend.answering import open_chat_model
from examples.rag_backend.guards import BodyLimit
from examples.rag_backend.monitoring import Metrics, Monitoring, SecurityHeaders
from examples.rag_backend.operations import operations
from examples.rag_backend.pages import add_pages
from examples.rag_backend.problems import tell_problems
from examples.rag_backend.questions import questions
from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def create_app(
    settings: Settings | None = None, *, chat_model: BaseChatModel | None = None
) -> FastAPI:
    """A back end that starts whether or not Qdrant is there, and answers once it is.

    Args:
        settings: by default those of the environment.
        chat_model: instead of the one that the settings name.

    Raises:
        UsageError: the chat model of the settings cannot be opened.
    """
    settings = settings or Settings()
    if chat_model is None and settings.chat_model:
        chat_model = open_chat_model(settings.chat_model)
    retrieval, metrics = Retrieval(settings), Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threads = ThreadPoolExecutor(settings.requests_at_once, thread_name_prefix="rag")
        asyncio.get_running_loop().set_default_executor(threads)
        async with retrieval.running():
            yield

    app = FastAPI(
        title="RAG back end",
        summary="Passages and answers from one collection of rdr-qdrant.",
        version=rdr_qdrant.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    tell_problems(app)
    app.include_router(questions(settings, retrieval, metrics, chat_model))
    app.include_router(operations(settings, retrieval, metrics))
    add_pages(app, settings, with_model=chat_model is not None)
    app.add_middleware(BodyLimit, most=settings.body_bytes)
    app.add_middleware(SecurityHeaders)
    most_seconds = settings.search_seconds + 2 * settings.answer_seconds
    app.add_middleware(Monitoring, metrics=metrics, most_seconds=most_seconds)
    return app
