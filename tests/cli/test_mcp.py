"""`rdr-qdrant mcp` as an MCP client starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from rdr_qdrant.mcp_server import MOST_PASSAGES
from tests.cli.conftest import Command

MCP = [sys.executable, "-m", "rdr_qdrant", "mcp", "-c", "c"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def collection(command: Command, pair: list[str], tsv: Path) -> list[str]:
    """Options that name the pair of a collection `c` in the current folder."""
    assert command("ingest", tsv, "-c", "c", *pair).status == 0
    return pair


async def test_a_client_searches_and_ends_it(command: Command, collection: list[str]) -> None:
    question = "who is the king?"
    expected = command("search", question, "-c", "c", *collection, "--json").json
    server = StdioServerParameters(
        command=MCP[0], args=[*MCP[1:], *collection], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    async with Client(stdio_client(server)) as client:
        result = await client.call_tool("search", {"question": question})
        assert result.structured_content == {"result": expected}
    assert command("info", "-c", "c").status == 0, "the folder is free again"


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_its_ends(collection: list[str], number: signal.Signals | None) -> None:
    """At the end of its input, and by a signal while it waits for more."""
    process = subprocess.Popen(
        [*MCP, *collection],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process:
        assert (
            process.stderr.readline() == "Serving the collection 'c' to an MCP client on stdin.\n"
        )
        if number:
            process.send_signal(number)
            assert process.wait(60) == 130
            assert process.stderr.read() == "Interrupted.\n"
        else:
            process.stdin.close()
            assert process.wait(60) == 0
            assert process.stderr.read() == ""
        assert process.stdout.read() == ""


def test_what_cannot_be_served_is_one_line(command: Command, collection: list[str]) -> None:
    missing = command("mcp", "-c", "none", *collection)
    assert missing.status == 1
    assert "No collection 'none'" in missing.errors[0]
    assert command("mcp", "-c", "c", "--mode", "fuzzy", *collection).status == 2
    assert command("mcp", "-c", "c", "--mode", "bm25", "--hnsw-ef", "9", *collection).status == 2
    too_many = command("mcp", "-c", "c", "-k", MOST_PASSAGES + 1, *collection)
    assert too_many.status == 2
    assert f"'-k': Input should be less than or equal to {MOST_PASSAGES}" in too_many.errors[0]
    no_bm25 = command("mcp", "-c", "c", "--mode", "hybrid", *collection)
    assert (no_bm25.status, no_bm25.out) == (1, "")
    assert "index -c c --bm25" in no_bm25.errors[0]
