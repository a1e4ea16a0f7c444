"""One load by many encoders, in one machine or several: `RayEngine` (extra `ray`)."""

from rdr_qdrant.distributed.answers import WorkerError
from rdr_qdrant.distributed.engine import RayEngine

__all__ = ["RayEngine", "WorkerError"]
