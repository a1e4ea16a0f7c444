"""Routes for operators: liveness, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from examples.rag_backend.monitoring import Metrics
from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.schemas import Health
from examples.rag_backend.security import require_api_key
from examples.rag_backend.settings import Settings


def health_routes(settings: Settings, retrieval: Retrieval, metrics: Metrics) -> APIRouter:
    """Build `/livez`, `/healthz` and `/metrics`."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Liveness: the process answers")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/healthz",
        summary="Readiness: questions can be answered; otherwise 503 with the reason",
        responses={503: {"model": Health}},
    )
    async def healthz(response: Response) -> Health:
        reason = retrieval.reason
        if reason is not None:
            response.status_code = 503
        return Health(
            status="not ready" if reason else "ready",
            collection=settings.collection,
            reason=reason,
        )

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        dependencies=[Depends(require_api_key(settings))],
    )
    async def prometheus() -> Response:
        metrics.ready.set(retrieval.reason is None)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
