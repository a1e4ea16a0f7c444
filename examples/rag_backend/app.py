"""Assembles the FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

import rdr_qdrant
from examples.rag_backend.generated_answer import open_chat_model
from examples.rag_backend.health_routes import health_routes
from examples.rag_backend.monitoring import Metrics, RequestMonitoring
from examples.rag_backend.page_routes import add_page_routes
from examples.rag_backend.problem_details import add_problem_handlers
from examples.rag_backend.question_routes import question_routes
from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.security import BodyLimit, SecurityHeaders
from examples.rag_backend.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def create_app(
    settings: Settings | None = None, *, chat_model: BaseChatModel | None = None
) -> FastAPI:
    """Create the application. It starts without Qdrant and answers once Qdrant is available.

    Args:
        settings: by default read from the environment.
        chat_model: used instead of the one the settings name.

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
    app.state.settings, app.state.retrieval = settings, retrieval
    add_problem_handlers(app)
    app.include_router(question_routes(settings, retrieval, metrics, chat_model))
    app.include_router(health_routes(settings, retrieval, metrics))
    add_page_routes(app, settings, retrieval, with_chat_model=chat_model is not None)
    app.add_middleware(BodyLimit, max_bytes=settings.body_bytes)
    app.add_middleware(SecurityHeaders)
    max_seconds = settings.search_seconds + 2 * settings.answer_seconds
    app.add_middleware(RequestMonitoring, metrics=metrics, max_seconds=max_seconds)
    return app
