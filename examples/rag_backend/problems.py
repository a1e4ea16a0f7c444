"""Errors as RFC 9457 problem details: what happened, and what to do."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rdr_qdrant import RDRQdrantError

MEDIA_TYPE = "application/problem+json"
TRY_AGAIN = {"Retry-After": "2"}


class Problem(BaseModel):
    """RFC 9457 problem details."""

    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None


def problem(status: int, detail: str, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The body of an error."""
    title = http.HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=detail, errors=errors).model_dump(
        exclude_none=True
    )


def problem_of(error: Exception) -> dict[str, Any]:
    """The body for an error that ends a stream under way."""
    status, detail = _status_of(error)
    return problem(status, detail)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These errors for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {"content": content, "description": http.HTTPStatus(status).phrase}
        for status in statuses
    }


def tell_problems(app: FastAPI) -> None:
    """Let `app` answer errors this way."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"where": ".".join(str(part) for part in found["loc"][1:]), "what": found["msg"]}
            for found in error.errors()
        ]
        first = errors[0]
        detail = f"{first['where'] or 'the body'}: {first['what']}"
        return JSONResponse(
            jsonable_encoder(problem(422, detail, errors)), 422, media_type=MEDIA_TYPE
        )

    @app.exception_handler(RDRQdrantError)
    @app.exception_handler(TimeoutError)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return answer_problem(error)


def answer_problem(error: Exception) -> JSONResponse:
    """The answer to a request that ended in this error."""
    status, detail = _status_of(error)
    return _answer(status, detail, TRY_AGAIN if status == 503 else None)


def _answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(problem(status, detail), status, headers, media_type=MEDIA_TYPE)


def _status_of(error: Exception) -> tuple[int, str]:
    from examples.rag_backend.answering import ChatModelError

    if isinstance(error, RDRQdrantError):
        return 503, str(error)
    if isinstance(error, TimeoutError):
        return 504, "This took too long and was given up. Try again, or ask for fewer passages."
    if isinstance(error, ChatModelError):
        return 502, str(error)
    return 500, "Something went wrong here; the log has it under this request's X-Request-ID."
