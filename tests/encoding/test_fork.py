"""An encoder with threads refuses to run in a forked process, where it would wait forever."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, signal, sys
import torch
from rdr_qdrant import RDREmbeddings
from rdr_qdrant.errors import ModelError

threads, what = int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
pair = {"context_encoder": sys.argv[1], "question_encoder": sys.argv[2]}
embeddings = RDREmbeddings(**pair)
if what != "first":
    embeddings.warm_up()
reader, writer = os.pipe()
if os.fork() == 0:
    signal.alarm(60)
    used = RDREmbeddings(**pair) if what == "new" else embeddings
    try:
        answer = str(len(used.embed_documents(["the river"] * 9)[0]))
    except ModelError as error:
        answer = str(error)
    os.write(writer, answer.encode())
    os._exit(0)
os.close(writer)
print(os.read(reader, 1000).decode())
"""


def in_a_fork(pair: tuple[str, str], threads: int, what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *pair, str(threads), what],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.removesuffix("\n") or done.stderr


@pytest.mark.parametrize("what", ["inherited", "new"])
def test_encoders_with_threads_refuse_in_a_fork(tiny_pair: tuple[str, str], what: str) -> None:
    answer = in_a_fork(tiny_pair, 2, what)
    assert "cannot be used in process" in answer
    assert "Load encoders after the fork only, or start processes by 'spawn'." in answer
    assert "\n" not in answer


@pytest.mark.parametrize(("threads", "what"), [(1, "inherited"), (1, "new"), (2, "first")])
def test_encoders_work_in_a_fork_that_lost_no_threads(
    tiny_pair: tuple[str, str], threads: int, what: str
) -> None:
    assert in_a_fork(tiny_pair, threads, what) == "32"
