"""`RayExecutor`: runs a job with Ray Data, on one machine or several (extra `ray`)."""

from rdr_qdrant.ingest.ray.errors import WorkerError
from rdr_qdrant.ingest.ray.ray_executor import RayExecutor

__all__ = ["RayExecutor", "WorkerError"]
