"""Documents are converted in a process of their own: nothing in them can harm a load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.documents.document import Document, DocumentError

TIME_LIMIT_SECONDS = 300.0
"""Longest that the conversion of one file may take."""
_WORKER = "rdr_qdrant.readers.documents.sandbox_worker"


class Converter:
    """Converts files one after the other, in a process that is started when first needed.

    Where that process ends or takes too long, the file in hand is set aside, and the next one
    gets a new process.

    Args:
        time_limit: seconds for one file.
    """

    def __init__(self, time_limit: float = TIME_LIMIT_SECONDS) -> None:
        self._time_limit = time_limit
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[bytes] | None = None
        self._has_answered = False

    def __enter__(self) -> Converter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def convert(self, path: Path, *, follow: bool) -> tuple[str, Document]:
        """SHA-256 (hex) of the file's bytes, and its text.

        Raises:
            DocumentError: it cannot be used.
            SourceError: the process cannot be started at all.
        """
        request = {"path": str(path), "follow": follow, "suffix": path.suffix.lower()}
        answer = self._ask(json.dumps(request))
        if "error" in answer:
            raise DocumentError(answer["error"])
        return answer["digest"], Document(answer["title"], answer["pages"], answer["paged"])

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()
        if self._said:
            self._said.close()
            self._said = None

    def _ask(self, request: str) -> dict[str, Any]:
        process = self._process or self._start()
        too_late = threading.Event()

        def end() -> None:
            too_late.set()
            process.kill()

        timer = threading.Timer(self._time_limit, end)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{request}\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line.endswith("\n"):
            self._has_answered = True
            answer: dict[str, Any] = json.loads(line)
            return answer
        status, last_words = process.wait(), self._last_words()
        self.close()
        if too_late.is_set():
            raise DocumentError(f"takes longer than {self._time_limit:g} s to convert")
        if not self._has_answered and status > 0:
            raise SourceError(
                f"The process that converts documents does not start (status {status}): "
                f"{last_words or 'it said nothing'}."
            )
        raise DocumentError(f"the converter broke down at it: status {status}")

    def _start(self) -> subprocess.Popen[str]:
        """A process that sees the modules that this one sees, and no signal from the terminal."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            encoding="ascii",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        return self._process

    def _last_words(self) -> str:
        if not self._said:
            return ""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
