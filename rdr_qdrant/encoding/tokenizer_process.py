"""Tokenizing in a process of its own, for encoders on a GPU.

A tokenizer hands over ids as Python numbers, and nothing else can run in the interpreter meanwhile:
7 us for 200 tokens. Beside a fast GPU that is a fifth of all that a load has. Here they are bytes.

Each message is 8 bytes with its length and then that: of a request numbers (inputs n, texts in
each, characters in each text) and all texts together in UTF-8; of a reply numbers (inputs n; the
position of each, the longest first; their lengths, whether each was truncated, all ids), or nothing
after an error. Numbers are int32. The very first request is JSON, the tokenizer and the maximum
length.

A pipe is enlarged where the system can (Linux): a read gives what a pipe holds, and after each the
interpreter lock has to be waited for.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import IO, Any

import numpy as np

from rdr_qdrant.child_process import start_child
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.tokenizer import EncoderInput, InputTokenizer, Tokens

logger = logging.getLogger(__name__)

FEWEST_INPUTS = 256
"""Fewer are tokenized at once in this process."""
PIPE_BYTES = 2**20
"""Size of a pipe; Linux lets every user have this much, unless its settings say otherwise."""
MOST_FAILURES = 3
"""A process that failed so often is not started again."""


class TokenizerProcess:
    """An `InputTokenizer` that does many inputs in another process, started when first needed.

    If that process cannot be started or dies, they are tokenized in this one. Thread-safe.

    Args:
        tokenizer: a `tokenizers.Tokenizer`; a copy is used.
        max_length: maximum number of tokens of an input, special tokens included.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenize_here = InputTokenizer(tokenizer, max_length)
        self._first_request = json.dumps([tokenizer.to_str(), max_length]).encode()
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._lock = threading.Lock()

    def __call__(self, inputs: Sequence[EncoderInput]) -> Tokens:
        """Tokenize inputs; titles must not be empty, texts must be stripped.

        They come back in any order.
        """
        if len(inputs) >= FEWEST_INPUTS and self._failures < MOST_FAILURES:
            with self._lock:
                reply = self._ask(to_request(inputs))
            if reply:
                return _from_reply(reply)
        return self._tokenize_here(inputs)

    def _ask(self, request: bytes) -> bytes:
        """The reply to a request; empty if there is none."""
        try:
            process = self._process or self._start()
            _write(process.stdin, request)
            return _read(process.stdout)
        except (OSError, EOFError) as error:
            status = self._end()
            self._failures += 1
            logger.warning(
                "The process that tokenizes does not answer (%s, status %s); this one tokenizes, "
                "which is slower",
                str(error) or type(error).__name__,
                status,
            )
            return b""
        except BaseException:  # interrupted: the reply would be taken for that to the next request
            self._end()
            raise

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            process = start_child(run_worker, stderr=subprocess.DEVNULL, pipesize=PIPE_BYTES)
        except PermissionError:  # the user's pipes may not grow further
            process = start_child(run_worker, stderr=subprocess.DEVNULL)
        self._process = process
        weakref.finalize(self, _end_process, process)
        _write(process.stdin, self._first_request)
        return process

    def _end(self) -> int | None:
        process, self._process = self._process, None
        return _end_process(process) if process else None


def run_worker() -> None:
    """Answer requests from standard input until it ends; runs in the worker process."""
    from tokenizers import Tokenizer

    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps what a library prints out of the replies
    with suppress(EOFError):
        settings, max_length = json.loads(_read(requests))
        tokenize = InputTokenizer(Tokenizer.from_str(settings), max_length)
        while True:
            inputs = from_request(_read(requests))
            try:
                reply = _to_reply(tokenize(inputs).longest_first())
            except Exception:  # raised again by the caller, which tokenizes the same inputs
                reply = b""
            _write(replies, reply)


def to_request(inputs: Sequence[EncoderInput]) -> bytes:
    """Inputs as bytes; little of it is Python, since nothing else can run meanwhile."""
    texts: list[str] = []
    for one in inputs:
        texts.extend((one,) if isinstance(one, str) else one)
    counts = [1 if isinstance(one, str) else 2 for one in inputs]
    numbers = np.array([len(inputs), *counts, *map(len, texts)], dtype=np.int32)
    return numbers.tobytes() + "".join(texts).encode("utf-8", "surrogatepass")


def from_request(request: bytes) -> list[EncoderInput]:
    """The inputs of `to_request`."""
    count = int(np.frombuffer(request, dtype=np.int32, count=1)[0])
    counts = np.frombuffer(request, dtype=np.int32, count=count, offset=4)
    lengths = np.frombuffer(request, np.int32, count=int(counts.sum()), offset=4 + counts.nbytes)
    joined = request[4 + counts.nbytes + lengths.nbytes :].decode("utf-8", "surrogatepass")
    ends = [0, *np.cumsum(lengths, dtype=np.int64).tolist()]
    texts = (joined[start:end] for start, end in pairwise(ends))
    return [next(texts) if one == 1 else (next(texts), next(texts)) for one in counts.tolist()]


def _to_reply(tokens: Tokens) -> bytes:
    ids = tokens.ids
    parts = ([len(ids)], tokens.positions, ids.lengths, tokens.truncated, ids.ids)
    return np.concatenate([np.asarray(part, dtype=np.int32) for part in parts]).tobytes()


def _from_reply(reply: bytes) -> Tokens:
    numbers = np.frombuffer(reply, dtype=np.int32)
    count = int(numbers[0])
    positions, lengths, truncated = numbers[1 : 1 + 3 * count].reshape(3, count)
    ids = TokenIds(numbers[1 + 3 * count :], lengths)
    return Tokens(ids, truncated.astype(bool).tolist(), positions.tolist())


def _write(file: IO[bytes] | None, content: bytes) -> None:
    assert file is not None
    file.write(len(content).to_bytes(8, "little"))
    file.write(content)
    file.flush()


def _read(file: IO[bytes] | None) -> bytes:
    """Read what `_write` wrote.

    Raises:
        EOFError: the other end is closed.
    """
    assert file is not None
    size = int.from_bytes(_read_all(file, 8), "little")
    return _read_all(file, size)


def _read_all(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _end_process(process: subprocess.Popen[bytes]) -> int:
    """End a process if it still runs; its exit status."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # bytes that were not sent
            if pipe:
                pipe.close()
    return process.wait()
