"""An encoder with threads refuses to run in a forked process, where it would wait forever."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, signal, sys
import torch
from rdr_qdrant import RDREmbeddings
from rdr_qdrant.errors import ModelError

pair = {"context_encoder": sys.argv[1], "question_encoder": sys.argv[2]}
torch.set_num_threads(int(sys.argv[3]))

def in_a_fork(embeddings):
    reader, writer = os.pipe()
    if os.fork() == 0:
        signal.alarm(60)
        try:
            answer = str(len(embeddings.embed_documents(["the river"] * 9)[0]))
        except ModelError as error:
            answer = str(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    print(os.read(reader, 1000).decode())

embeddings = RDREmbeddings(**pair)
in_a_fork(embeddings)
embeddings.warm_up()
in_a_fork(embeddings)
in_a_fork(RDREmbeddings(**pair))
"""


def in_forks(pair: tuple[str, str], threads: int) -> list[str]:
    """Vector size or error in a fork: the first encoder of all, then a used one, then a new one."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *pair, str(threads)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_encoders_with_threads_refuse_in_a_fork(tiny_pair: tuple[str, str]) -> None:
    first, *others = in_forks(tiny_pair, threads=2)
    assert first == "32", "no threads were lost yet"
    assert len(others) == 2
    for answer in others:
        assert "cannot be used in process" in answer
        assert "Load encoders after the fork only, or start processes by 'spawn'." in answer


def test_encoders_without_threads_work_in_a_fork(tiny_pair: tuple[str, str]) -> None:
    assert in_forks(tiny_pair, threads=1) == ["32"] * 3
