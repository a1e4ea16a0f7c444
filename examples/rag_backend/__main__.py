"""Run the back end with `python -m examples.rag_backend`; settings.py lists its settings."""

from __future__ import annotations

import logging
import sys

try:
    import uvicorn
    from pydantic import ValidationError

    from examples.rag_backend.app import create_app
    from examples.rag_backend.settings import Settings
except ModuleNotFoundError as missing:
    from rdr_qdrant.errors import install_hint

    sys.exit(f"The back end needs {missing.name}: {install_hint('backend')}.")
from rdr_qdrant import RDRQdrantError


def main() -> int:
    """Serve until a signal arrives; return 2 if the settings are invalid."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs
    try:
        settings = Settings()
        app = create_app(settings)
    except ValidationError as error:
        for problem in error.errors():
            setting = "".join(f"RAG_{str(part).upper()}: " for part in problem["loc"][:1])
            print(f"Error: {setting}{problem['msg']}", file=sys.stderr)
        return 2
    except RDRQdrantError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
