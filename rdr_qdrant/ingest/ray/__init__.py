"""One load by many encoders, in one machine or several: `RayEngine` (extra `ray`)."""

from rdr_qdrant.ingest.ray.errors import WorkerError
from rdr_qdrant.ingest.ray.ray_executor import RayEngine

__all__ = ["RayEngine", "WorkerError"]
