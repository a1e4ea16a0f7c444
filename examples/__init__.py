"""Examples; `python -m examples.rag_backend` needs this folder to be a package."""
