"""Error responses as RFC 9457 problem details: what happened and what to do."""

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
RETRY_SOON = {"Retry-After": "2"}


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None


def problem_body(
    status: int, detail: str, errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Build the body of an error response."""
    title = http.HTTPStatus(status).phrase
    return ProblemDetails(title=title, status=status, detail=detail, errors=errors).model_dump(
        exclude_none=True
    )


def body_for_error(error: Exception) -> dict[str, Any]:
    """Build the body for an error that ends a stream already started."""
    return problem_body(*_status_and_detail(error))


def response_for_error(error: Exception) -> JSONResponse:
    """Build the response to a request that failed with this error."""
    status, detail = _status_and_detail(error)
    return _response(status, detail, RETRY_SOON if status == 503 else None)


def openapi_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe these error responses for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}}
    return {
        status: {"content": content, "description": http.HTTPStatus(status).phrase}
        for status in statuses
    }


def add_problem_handlers(app: FastAPI) -> None:
    """Make `app` answer errors with problem details."""

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return _response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"where": ".".join(str(part) for part in found["loc"][1:]), "what": found["msg"]}
            for found in error.errors()
        ]
        first = errors[0]
        detail = f"{first['where'] or 'the body'}: {first['what']}"
        return JSONResponse(
            jsonable_encoder(problem_body(422, detail, errors)), 422, media_type=MEDIA_TYPE
        )

    @app.exception_handler(RDRQdrantError)
    @app.exception_handler(TimeoutError)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return response_for_error(error)


def _response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(problem_body(status, detail), status, headers, media_type=MEDIA_TYPE)


def _status_and_detail(error: Exception) -> tuple[int, str]:
    from examples.rag_backend.generated_answer import ChatModelError

    if isinstance(error, RDRQdrantError):
        return 503, str(error)
    if isinstance(error, TimeoutError):
        return 504, "This took too long and was cancelled. Try again, or ask for fewer passages."
    if isinstance(error, ChatModelError):
        return 502, str(error)
    return 500, "Internal error. The log has details under this response's X-Request-ID."
