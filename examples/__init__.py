"""Examples; a package so that `python -m examples.rag_backend` works."""
