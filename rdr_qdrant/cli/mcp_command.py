"""`rdr-qdrant mcp`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.graceful_shutdown import exit_on_signal
from rdr_qdrant.cli.stderr import print_message
from rdr_qdrant.mcp_server import MOST_PASSAGES, make_mcp_server

EXAMPLE = "rdr-qdrant mcp -c wiki --mode hybrid"


def mcp(
    collection: options.CollectionOption,
    *,
    k: Annotated[
        int,
        typer.Option(
            "-k",
            min=1,
            max=MOST_PASSAGES,
            metavar="N",
            help="Passages, if an agent asks for no number.",
        ),
    ] = 5,
    mode: Annotated[
        str, typer.Option(metavar="NAME", help="dense, bm25 or hybrid: see search.")
    ] = "dense",
    conditions: options.FilterOption = None,
    searching: options.SearchOptions,
    qdrant: options.QdrantOptions,
    encoders: options.EncoderOptions,
) -> None:
    """Let agents search a collection, over the Model Context Protocol on stdin and stdout.

    An MCP client (an agent, an editor, a chat program) starts this command and ends it. It gets one
    tool, search, that returns what search --json prints. With --filter it never sees other
    passages. Needs the extra mcp.
    """
    filters = options.parse_filters(conditions)
    query_options = searching.query_options([mode], k)[mode]
    query_options["exact"] = searching.exact
    with closing(qdrant.connect()) as client:
        searcher = searching.searcher(
            encoders.embeddings_for(client, collection), client, collection
        )
        server = make_mcp_server(searcher, query_options, filters)
        print_message(f"Serving the collection {collection!r} to an MCP client on stdin.")
        with exit_on_signal():  # its reading of stdin cannot be broken off
            server.run("stdio")
