"""For those who run it: health, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from examples.rag_backend.guards import requires_key
from examples.rag_backend.monitoring import Metrics
from examples.rag_backend.retrieval import Retrieval
from examples.rag_backend.schemas import Health
from examples.rag_backend.settings import Settings


def operations(settings: Settings, retrieval: Retrieval, metrics: Metrics) -> APIRouter:
    """`/livez`, `/healthz` and `/metrics`."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Whether the process answers")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/healthz",
        summary="Whether questions can be answered just now; 503 with the reason where not",
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
        summary="For Prometheus",
        response_class=Response,
        dependencies=[Depends(requires_key(settings))],
    )
    async def prometheus() -> Response:
        metrics.ready.set(retrieval.reason is None)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
