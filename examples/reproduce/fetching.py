"""Downloads large files over HTTP: resumes interrupted downloads and verifies complete ones."""

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
from rdr_qdrant.atomic_io import open_atomically
from rdr_qdrant.cli.stderr import print_message

MAX_ATTEMPTS = 8
INITIAL_BACKOFF_SECONDS = 1.0
CHUNK_BYTES = 2**20
GZIPPED_BYTES_PER_ROW = 300  # an estimate; if it is too low, more is downloaded
CHECKSUMS = "checksums.json"
PART = ".part"


@dataclass(frozen=True)
class RemoteTable:
    """A table to download.

    Attributes:
        path: path below the base URL.
        rows: expected number of rows, without the header.
        header: whether it has a header.
    """

    path: str
    rows: int
    header: bool = False

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class ReproductionError(RDRQdrantError):
    """A file cannot be downloaded, or its content is wrong."""


def fetch(base_url: str, remote: RemoteTable, folder: Path) -> Path:
    """Download the file if it is missing, verify it, and return its path.

    The first time, gzip's checksum and the number of rows are verified, and size, SHA-256 and rows
    are recorded in `checksums.json`. Later runs compare the file with that record.

    Raises:
        ReproductionError: the file cannot be downloaded or verified.
    """
    path = folder / remote.name
    known = _checksums(folder)
    if not path.exists():
        part = path.with_name(path.name + PART)
        download(f"{base_url}/{remote.path}", part)
        part.replace(path)
    print_message(f"Verifying {path} ({path.stat().st_size:,} bytes).")
    digest = sha256(path)
    found = {"bytes": path.stat().st_size, "sha256": digest}
    if recorded := known.get(remote.name):
        if {key: recorded[key] for key in found} != found:
            raise ReproductionError(
                f"{path} has changed: {found['bytes']:,} bytes with SHA-256 {digest}, but "
                f"{folder / CHECKSUMS} records {recorded['bytes']:,} bytes with "
                f"{recorded['sha256']}. Delete {path} to download it again."
            )
        return path
    rows = count_rows(path) - remote.header
    if rows != remote.rows:
        raise ReproductionError(
            f"{path} has {rows:,} rows, but must have {remote.rows:,}. Delete it to download it "
            "again."
        )
    known[remote.name] = {**found, "rows": rows}
    with open_atomically(folder / CHECKSUMS) as file:
        file.write(json.dumps(known, indent=2) + "\n")
    return path


def fetch_first_rows(base_url: str, remote: RemoteTable, folder: Path, rows: int) -> Path:
    """Download the first rows of a `.tsv.gz` and write them to a `.tsv`; return its path.

    The partial download is kept as `.part`; a later download of the whole file resumes from it.
    """
    path = folder / f"first-{rows}-{remote.name.removesuffix('.gz')}"
    if path.exists():
        return path
    whole = folder / remote.name
    part = whole.with_name(whole.name + PART)
    wanted = rows + remote.header
    size = GZIPPED_BYTES_PER_ROW * rows + CHUNK_BYTES
    complete = whole.exists()
    while True:
        if not complete:
            complete = download(f"{base_url}/{remote.path}", part, at_least=size)
        lines = first_lines(whole if whole.exists() else part, wanted)
        if len(lines) == wanted or complete:
            break
        size *= 2
    if len(lines) < wanted:
        print_message(f"{remote.name} has only {len(lines) - remote.header:,} rows.")
    with open_atomically(path, "wb") as file:
        file.write(b"".join(lines))
    return path


def download(url: str, part: Path, *, at_least: int | None = None) -> bool:
    """Download into `part`, resuming where it ends and retrying after failures.

    Args:
        url: the URL.
        part: the partial file. The download restarts if the server does not support ranges or the
            file changed (its ETag or date is kept beside `part`).
        at_least: stop once `part` has this many bytes.

    Returns:
        Whether the file is complete.

    Raises:
        ReproductionError: the server refuses, or `MAX_ATTEMPTS` in a row made no progress.
    """
    failures = 0
    while True:
        before = _size(part)
        if at_least is not None and before >= at_least:
            return False
        try:
            if _request_once(url, part, at_least):
                _validator(part).unlink(missing_ok=True)
                return True
            continue
        except urllib.error.HTTPError as error:
            if error.code == 416:  # already complete, or the file changed
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return True
                part.unlink()
                continue
            if error.code < 500:
                raise ReproductionError(f"{url} cannot be downloaded: {error}.") from None
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            failure = error
        failures = 1 if _size(part) > before else failures + 1
        if failures >= MAX_ATTEMPTS:
            raise ReproductionError(
                f"{url} cannot be downloaded: {failure}. Run this again to resume."
            )
        print_message(f"{failure}; retrying.")
        time.sleep(min(60.0, INITIAL_BACKOFF_SECONDS * 2**failures))


def _request_once(url: str, part: Path, at_least: int | None) -> bool:
    """Make one request; return whether `part` is complete afterwards."""
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
                f"{url} needs {total - have:,} more bytes, but {part.parent} has {free:,} free. "
                "Free some space."
            )
        if mark := response.headers["ETag"] or response.headers["Last-Modified"]:
            _validator(part).write_text(mark)
        print_message(
            f"Downloading {url}" + (f", from byte {have:,} of {total:,}." if total else ".")
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
    """Count the rows of a tab-separated file, parsed as DPR parses it."""
    csv.field_size_limit(2**24)
    with _open_decompressed(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        return sum(1 for _ in csv.reader(text, delimiter="\t"))


def first_lines(path: Path, count: int) -> list[bytes]:
    """Return up to `count` complete lines from the start of a file."""
    lines: list[bytes] = []
    try:
        with _open_decompressed(path) as file:
            for line in islice(file, count):
                lines.append(line)
    except ReproductionError:
        if path.suffix != PART:  # a partial file ends early
            raise
    return [line for line in lines if line.endswith(b"\n")]


@contextmanager
def _open_decompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, decompressing `.gz`; gzip's checksum is verified at the end."""
    try:
        with gzip.open(path) if ".gz" in path.suffixes else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ReproductionError(
            f"{path} is damaged or truncated ({error}). Delete it to download it again."
        ) from None


def _checksums(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / CHECKSUMS
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
