"""Draw the pictures of the README and docs/: the terminal, the recall plot, the page.

    make pictures

Needs the extras of `dev`, and for the page Chromium and its driver. encoding.svg and gpu.svg are
measurements: benchmarks/encoding.py and benchmarks/gpu.py --draw make them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from rdr_qdrant.cli.demo_command import COLLECTION, QUESTIONS

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
PATIENCE = 120.0  # seconds for the back end to be ready


def run(*arguments: object) -> None:
    """Run Python in the repository."""
    subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env=ENVIRONMENT, check=True, text=True
    )


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """A back end over this folder; gives its URL.

    Raises:
        TimeoutError: it did not become ready.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"RAG_PORT": str(port), "RAG_QDRANT_PATH": str(store), "RAG_COLLECTION": COLLECTION}
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.rag_backend"], cwd=ROOT, env=ENVIRONMENT | settings
    )
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + PATIENCE
    try:
        while not _answers(f"{url}/healthz"):
            if time.monotonic() > until or process.poll() is not None:
                raise TimeoutError(f"{url} did not become ready.")
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def ask(url: str, question: str) -> None:
    """Let the back end answer a question."""
    body = json.dumps({"question": question}).encode()
    with urlopen(Request(f"{url}/ask", body, {"Content-Type": "application/json"})) as answer:
        answer.read()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def main() -> None:
    run(FOLDER / "terminal.py", "--file", FOLDER / "terminal.svg")
    with tempfile.TemporaryDirectory() as name:
        store, data = Path(name) / "qdrant_data", Path("examples/data")
        here = ("-c", COLLECTION, "--path", store)
        run("-m", "rdr_qdrant", "ingest", data / "passages.tsv", *here, "--model", "demo", "--bm25")
        questions = data / "questions.tsv"
        run("-m", "rdr_qdrant", "eval", questions, *here, "--plot", FOLDER / "recall.png")
        with serving(store) as url:
            ask(url, QUESTIONS[1])  # the first question of all waits for what is loaded then
            pages = ("--only", "page", "--only", "page-dark", "--folder", FOLDER)
            run("-m", "examples.rag_backend.screenshot", "--url", url, *pages)


if __name__ == "__main__":
    main()
