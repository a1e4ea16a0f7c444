"""The web page and the API documentation, served without any third-party request."""

import importlib.util
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.schemas import About
from examples.rag_backend.security import KeyState, api_key_state, limit_rate
from examples.rag_backend.settings import Settings

PAGE = Path(__file__).parent / "page"
_REVALIDATE = {"Cache-Control": "no-cache"}


def add_page_routes(
    app: FastAPI, settings: Settings, retrieval: Retrieval, *, with_chat_model: bool
) -> None:
    """Add `/`, `/docs`, `/about` and their files."""
    router = APIRouter()
    limit_guesses = limit_rate(settings.search_rate)
    Key = Annotated[KeyState, Depends(api_key_state(settings))]  # noqa: N806

    @router.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=_REVALIDATE)

    @router.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html", headers=_REVALIDATE)

    @router.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        return FileResponse(PAGE / "icon.svg", media_type="image/svg+xml")

    @router.get("/about", summary="Settings that the page needs", tags=["operations"])
    async def about(request: Request, key: Key) -> About:
        if key in (KeyState.VALID, KeyState.WRONG):
            await limit_guesses(request)
        authorized = key in (KeyState.VALID, KeyState.NOT_SET)
        return About(
            collection=settings.collection if authorized else None,
            answers="model" if with_chat_model else "quote",
            key_needed=settings.api_key is not None,
            question_characters=settings.question_characters,
            k=settings.k,
            mode=settings.mode,
            modes=list(retrieval.modes) if authorized else [],
            examples=list(settings.example_questions) if authorized else [],
        )

    app.include_router(router)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.mount("/swagger", StaticFiles(directory=_swagger_folder()), name="swagger")


def _swagger_folder() -> Path:
    """The folder of Swagger UI's files in the package fastapi-offline."""
    package = importlib.util.find_spec("fastapi_offline")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "static"
