"""A web server of a few files, with ranges, that can be told to cut connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """What it serves, how, and what it was asked.

    Attributes:
        files: bytes by path, without the leading slash.
        cut_after: of each answer to come, how many bytes are sent before the connection is cut.
        ranges: whether it resumes.
        etag: of every file; a resumption under another one begins anew.
        asked: path and `Range` of each request.
        sent: bytes of bodies.
    """

    files: Mapping[str, bytes]
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"one"'
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0
    url: str = ""


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[FileServer]:
    """Serve on 127.0.0.1 for as long as the block lasts."""
    served = FileServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            path = self.path.lstrip("/")
            served.asked.append((path, wanted))
            content = served.files.get(path)
            if content is None:
                return self.send_error(404)
            start = 0
            same = self.headers["If-Range"] in (None, served.etag)
            if wanted and served.ranges and same:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            body = content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", served.etag)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.end_headers()
            if served.cut_after:
                body = body[: served.cut_after.pop(0)]
            served.sent += len(body)
            self.wfile.write(body)
            return None

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
