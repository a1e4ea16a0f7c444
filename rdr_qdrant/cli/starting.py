"""What lets a command start quickly; it is for a process of our own, not for a library."""

from __future__ import annotations

import gc
import sys


def collect_less() -> None:
    """Imports make some 100,000 objects that stay; the collector need not look through them."""
    gc.set_threshold(50_000)


def import_client() -> None:
    """Import qdrant-client without completing its 340 models at once: a third of its import.

    It does so for those that refer to each other, used or not. Left alone, pydantic completes each
    when it is first used.
    """
    if "qdrant_client" in sys.modules:
        return
    from pydantic import BaseModel

    complete = BaseModel.__dict__["model_rebuild"]
    setattr(BaseModel, "model_rebuild", classmethod(lambda cls, **options: None))  # noqa: B010
    try:
        import qdrant_client  # noqa: F401
    finally:
        setattr(BaseModel, "model_rebuild", complete)  # noqa: B010
