"""Convert documents in a separate process, so that no document can harm a load.

`DocumentConverter` starts that process, which runs `run_worker`. It has limited memory, gets no API
keys, opens no connection, starts no program and writes no file, whatever a document makes its
converter do. Each request is a line of JSON (`path follow_symlinks suffix`), each reply another
(`digest title pages paged blocks omitted`, or `error`).
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rdr_qdrant.child_process import start_child
from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.documents.document_files import open_document, sha256_of
from rdr_qdrant.readers.documents.formats import DOCUMENT_FORMATS
from rdr_qdrant.splitter import Block

TIME_LIMIT_SECONDS = 300.0
"""Longest time for the conversion of one file."""
MAX_MEMORY_BYTES = 2 * 2**30
"""Address space of the worker; a document that needs more is rejected."""
FORBIDDEN_EVENTS = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
"""Prefixes of the audit events (PEP 578) that the worker refuses, besides writing files."""
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class DocumentConverter:
    """Converts files one after the other in a worker process, started when first needed.

    If the worker dies or takes too long, the current file is rejected and a new worker started.

    Args:
        time_limit: seconds per file.
    """

    def __init__(self, time_limit: float = TIME_LIMIT_SECONDS) -> None:
        self._time_limit = time_limit
        self._process: subprocess.Popen[str] | None = None
        self._stderr: IO[bytes] | None = None
        self._has_replied = False

    def __enter__(self) -> DocumentConverter:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def convert(self, path: Path, *, follow_symlinks: bool) -> tuple[str, ConvertedDocument]:
        """Return the SHA-256 (hex) of the file's bytes, and its text.

        Args:
            path: the file.
            follow_symlinks: accept a symbolic link.

        Raises:
            DocumentError: the file cannot be used.
            SourceError: the worker cannot be started.
        """
        request = {
            "path": str(path),
            "follow_symlinks": follow_symlinks,
            "suffix": path.suffix.lower(),
        }
        reply = self._send(json.dumps(request))
        if "error" in reply:
            raise DocumentError(reply["error"])
        blocks = [Block(*block) for block in reply["blocks"]]
        document = ConvertedDocument(
            reply["title"], reply["pages"], reply["paged"], blocks, reply["omitted"]
        )
        return reply["digest"], document

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()
        if self._stderr:
            self._stderr.close()
            self._stderr = None

    def _send(self, request: str) -> dict[str, Any]:
        process = self._process or self._start()
        timed_out = threading.Event()

        def kill_worker() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(self._time_limit, kill_worker)
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
            self._has_replied = True
            reply: dict[str, Any] = json.loads(line)
            return reply
        status, stderr_line = process.wait(), self._last_stderr_line()
        self.close()
        if timed_out.is_set():
            raise DocumentError(f"takes longer than {self._time_limit:g} s to convert")
        if not self._has_replied and status > 0:
            raise SourceError(
                f"The process that converts documents does not start (status {status}): "
                f"{stderr_line or 'no error output'}."
            )
        raise DocumentError(f"the converter crashed: status {status}")

    def _start(self) -> subprocess.Popen[str]:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self._process = start_child(run_worker, stderr=self._stderr, encoding="ascii")
        return self._process

    def _last_stderr_line(self) -> str:
        if not self._stderr:
            return ""
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def run_worker() -> None:
    """Answer requests from standard input until it ends; runs in the worker process."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # keeps what a converter prints out of the replies
    logging.disable()
    warnings.simplefilter("ignore")
    _limit_resources()
    _forbid_xml_entities()
    sys.addaudithook(_refuse_event)
    for line in sys.stdin:
        json.dump(handle_request(json.loads(line)), replies)
        replies.write("\n")
        replies.flush()


def handle_request(request: dict[str, Any]) -> dict[str, Any]:
    """Convert one document; any error of its converter becomes the reason of its rejection."""
    try:
        path, follow_symlinks = Path(request["path"]), request["follow_symlinks"]
        with open_document(path, follow_symlinks=follow_symlinks) as stream:
            digest = sha256_of(stream)
            document = DOCUMENT_FORMATS[request["suffix"]].convert(stream)
    except DocumentError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"needs more than {MAX_MEMORY_BYTES:,} bytes of memory"}
    except RecursionError:
        return {"error": "nested too deep"}
    except Exception as error:  # converters raise errors of any type for a broken file
        message = " ".join(str(error).split())[:200]
        return {"error": f"cannot be converted: {type(error).__name__}: {message}"}
    return {
        "digest": digest,
        "title": document.title,
        "pages": list(document.pages),
        "paged": document.paged,
        "blocks": [[block.kind, block.start, block.end] for block in document.blocks],
        "omitted": list(document.omitted),
    }


def _limit_resources() -> None:
    with suppress(ImportError, OSError, ValueError):  # not available on every system
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _forbid_xml_entities() -> None:
    """Make all XML parsers of the standard library refuse entity definitions."""
    with suppress(ImportError):  # without defusedxml, no format of XML is read
        import defusedxml

        defusedxml.defuse_stdlib()


def _refuse_event(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITE_FLAGS
    if writes or event.startswith(FORBIDDEN_EVENTS):
        raise PermissionError(f"{event} is refused while documents are converted")
