"""Routes for operators: liveness, readiness and metrics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from examples.rag_backend.monitoring import Metrics
from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.schemas import Health
from examples.rag_backend.security import KeyState, api_key_state, limit_rate, require_api_key
from examples.rag_backend.settings import Settings


def health_routes(settings: Settings, retrieval: Retrieval, metrics: Metrics) -> APIRouter:
    """Build `/livez`, `/healthz` and `/metrics`."""
    router = APIRouter(tags=["operations"])
    limit_guesses = limit_rate(settings.search_rate)
    Key = Annotated[KeyState, Depends(api_key_state(settings))]  # noqa: N806

    @router.get("/livez", summary="Liveness: the process answers")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/healthz",
        summary="Readiness: questions can be answered; otherwise 503",
        description="With the API key, the response has collection, mode and reason too.",
        responses={503: {"model": Health}},
        response_model_exclude_none=True,
    )
    async def healthz(request: Request, response: Response, key: Key) -> Health:
        if key in (KeyState.VALID, KeyState.WRONG):  # probes send no key and are not limited
            await limit_guesses(request)
        reason = retrieval.reason
        if reason is not None:
            response.status_code = 503
        health = Health(status="not ready" if reason else "ready")
        if key is KeyState.VALID:  # a reason may name the server's folders and collections
            health.collection, health.mode = settings.collection, settings.mode
            health.reason = reason
        return health

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        dependencies=[
            Depends(limit_rate(settings.search_rate)),
            Depends(require_api_key(settings)),
        ],
    )
    async def prometheus() -> Response:
        metrics.ready.set(retrieval.reason is None)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
