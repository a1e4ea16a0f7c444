"""What lets a command start quickly; it is for a process of our own, not for a library."""

from __future__ import annotations

import gc
import sys

COMPLETES_UNDER_A_LOCK = (2, 14)
"""The pydantic since which several threads may use a model for the first time at once, as the
writers of a load do (seen in 2.14.3; older ones were not looked at)."""


def collect_less() -> None:
    """Imports make some 100,000 objects that stay; the collector need not look through them."""
    gc.set_threshold(50_000)


def import_client() -> None:
    """Import qdrant-client without completing its 340 models at once: a third of its import.

    It does so for those that refer to each other, used or not. Left alone, pydantic completes each
    when it is first used. With an older pydantic, nothing is done.
    """
    if "qdrant_client" in sys.modules:
        return
    from pydantic import VERSION, BaseModel

    if tuple(map(int, VERSION.split(".")[:2])) < COMPLETES_UNDER_A_LOCK:
        return
    complete = BaseModel.__dict__["model_rebuild"]
    setattr(BaseModel, "model_rebuild", classmethod(lambda cls, **options: None))  # noqa: B010
    try:
        import qdrant_client  # noqa: F401
    finally:
        setattr(BaseModel, "model_rebuild", complete)  # noqa: B010
