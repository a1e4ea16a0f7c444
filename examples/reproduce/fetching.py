"""Large files over HTTP: resumed where they were interrupted, checked when they are there."""

from __future__ import annotations

import csv
import gzip
import hashlib
import http.client
import io
import json
import shutil
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from rdr_qdrant import RDRQdrantError
from rdr_qdrant.cli.stderr import print_message

TRIES = 8
FIRST_WAIT_SECONDS = 1.0
CHUNK_BYTES = 2**20
PACKED_BYTES_A_ROW = 300  # a guess; where it is too low, more is fetched
CHECKSUMS = "checksums.json"
PART = ".part"


@dataclass(frozen=True)
class Remote:
    """A table to be fetched.

    Attributes:
        path: below the base URL.
        rows: how many it must hold, without its header.
        header: whether it has one.
    """

    path: str
    rows: int
    header: bool = False

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class ReproductionError(RDRQdrantError):
    """A file that cannot be had, or is not what it must be."""


def fetch(base_url: str, remote: Remote, folder: Path) -> Path:
    """The file, whole: fetched where it is not there, checked in any case.

    The first time its size, SHA-256 and number of rows are noted in `checksums.json`, after gzip's
    own check and a count of the rows; from then on it must agree with that note.
    """
    path = folder / remote.name
    known = _checksums(folder)
    if not path.exists():
        part = path.with_name(path.name + PART)
        download(f"{base_url}/{remote.path}", part)
        part.replace(path)
    print_message(f"Checking {path} ({path.stat().st_size:,} bytes).")
    digest = sha256(path)
    found = {"bytes": path.stat().st_size, "sha256": digest}
    if note := known.get(remote.name):
        if {key: note[key] for key in found} != found:
            raise ReproductionError(
                f"{path} is not the file it was: {found['bytes']:,} bytes with SHA-256 {digest}, "
                f"but {note['bytes']:,} bytes with {note['sha256']} are noted in "
                f"{folder / CHECKSUMS}. Remove it to fetch it again."
            )
        return path
    rows = count_rows(path) - remote.header
    if rows != remote.rows:
        raise ReproductionError(
            f"{path} holds {rows:,} rows, but must hold {remote.rows:,}. Remove it to fetch it "
            "again."
        )
    known[remote.name] = {**found, "rows": rows}
    _write_whole(folder / CHECKSUMS, (json.dumps(known, indent=2) + "\n").encode())
    return path


def fetch_beginning(base_url: str, remote: Remote, folder: Path, rows: int) -> Path:
    """The first rows of a `.tsv.gz`, and not much more of it than they need.

    What is fetched is kept as `.part`, and fetching the whole file goes on from there.
    """
    path = folder / f"first-{rows}-{remote.name.removesuffix('.gz')}"
    if path.exists():
        return path
    whole = folder / remote.name
    part = whole.with_name(whole.name + PART)
    wanted = rows + remote.header
    size = PACKED_BYTES_A_ROW * rows + CHUNK_BYTES
    complete = whole.exists()
    while True:
        if not complete:
            complete = download(f"{base_url}/{remote.path}", part, at_least=size)
        lines = first_lines(whole if whole.exists() else part, wanted)
        if len(lines) == wanted or complete:
            break
        size *= 2
    if len(lines) < wanted:
        print_message(f"{remote.name} holds only {len(lines) - remote.header:,} rows.")
    _write_whole(path, b"".join(lines))
    return path


def download(url: str, part: Path, *, at_least: int | None = None) -> bool:
    """Fetch into `part`, from where it ends, again after each failure; whether it is whole.

    Args:
        url: what.
        part: where to. It is begun anew where the server does not resume, or has another file by
            now (its ETag or its date is kept beside `part`).
        at_least: stop when so many bytes are there.
    """
    failures = 0
    while True:
        before = _size(part)
        if at_least is not None and before >= at_least:
            return False
        try:
            if _fetch_some(url, part, at_least):
                _validator(part).unlink(missing_ok=True)
                return True
            continue
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing is left, or it is another file by now
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return True
                part.unlink()
                continue
            if error.code < 500:
                raise ReproductionError(f"{url} cannot be fetched: {error}.") from None
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            failure = error
        failures = 1 if _size(part) > before else failures + 1
        if failures >= TRIES:
            raise ReproductionError(
                f"{url} cannot be fetched: {failure}. Run this again; it goes on from there."
            )
        print_message(f"{failure}; trying again.")
        time.sleep(min(60.0, FIRST_WAIT_SECONDS * 2**failures))


def _fetch_some(url: str, part: Path, at_least: int | None) -> bool:
    """One request; whether `part` is whole after it."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if _validator(part).exists():
            request.add_header("If-Range", _validator(part).read_text())
    with urllib.request.urlopen(request, timeout=60) as response:
        if response.status != 206:
            have = 0
        length = response.headers["Content-Length"]
        total = None if length is None else have + int(length)
        free = shutil.disk_usage(part.parent).free
        if at_least is None and total is not None and total - have > free:
            raise ReproductionError(
                f"{url} needs {total - have:,} more bytes, but {part.parent} has {free:,}."
            )
        if mark := response.headers["ETag"] or response.headers["Last-Modified"]:
            _validator(part).write_text(mark)
        print_message(
            f"Fetching {url}" + (f": {have:,} of {total:,} bytes are there." if total else ".")
        )
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                if at_least is not None and have >= at_least:
                    break
    if total is None or have == total:
        return True
    if at_least is not None and have >= at_least:
        return False
    raise ConnectionError(f"the connection ended at {have:,} of {total:,} bytes")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def count_rows(path: Path) -> int:
    """Rows of a tab-separated file, read to its end as DPR reads it."""
    csv.field_size_limit(2**24)
    with _unpacked(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        return sum(1 for _ in csv.reader(text, delimiter="\t"))


def first_lines(path: Path, count: int) -> list[bytes]:
    """The first lines of a file, as far as they are whole and there."""
    lines: list[bytes] = []
    try:
        with _unpacked(path) as file:
            for line in islice(file, count):
                lines.append(line)
    except ReproductionError:
        if path.suffix != PART:  # of a part only the beginning is there
            raise
    return [line for line in lines if line.endswith(b"\n")]


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is gzip, whose own check is made at its end."""
    try:
        with gzip.open(path) if ".gz" in path.suffixes else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ReproductionError(
            f"{path} is damaged or ends too early ({error}). Remove it to fetch it again."
        ) from None


def _checksums(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / CHECKSUMS
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(content)
    temporary.replace(path)
