"""An MCP server (Model Context Protocol, extra `mcp`): agents search a collection with one tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from rdr_qdrant.errors import RDRQdrantError, UsageError, install_hint

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from rdr_qdrant.collection import AllOf, QueryOptions, UntypedValue
    from rdr_qdrant.searcher import PassageSearcher

MOST_PASSAGES = 100
"""Most passages of one answer: a language model reads all of them."""


def make_mcp_server(
    searcher: PassageSearcher,
    options: QueryOptions,
    conditions: Mapping[str, UntypedValue | AllOf] | None = None,
) -> MCPServer[Any]:
    """A server with the tool `search`, which gives passages as the command `search --json` does.

    Args:
        searcher: searches the collection.
        options: of each search; `k` is the number of passages if the agent asks for no other.
        conditions: metadata that each passage must have, whatever the agent asks for.

    Raises:
        UsageError: the extra is not installed, or `k` is more than `MOST_PASSAGES`.
        CollectionError: the collection is missing, was made with another pair, or lacks BM25.
    """
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.server.mcpserver.tools import Tool
        from mcp.types import ToolAnnotations
    except ImportError:
        raise UsageError(f"An MCP server needs the extra mcp: {install_hint('mcp')}.") from None
    from rdr_qdrant.collection import UntypedValue

    if options["k"] > MOST_PASSAGES:
        raise UsageError(
            f"k is {options['k']}: it must be an integer from 1 to {MOST_PASSAGES}, which an agent "
            "gets at most."
        )
    mode = options.get("mode", "dense")
    searcher.check(mode)
    if mode != "dense":
        searcher.collection.check_bm25()
    name = searcher.collection.name

    def search(
        question: Annotated[str, Field(description="A question, as a person would ask it.")],
        k: Annotated[
            int, Field(ge=1, le=MOST_PASSAGES, description="Number of passages, best first.")
        ] = options["k"],
        filter: Annotated[
            dict[str, str | int | float | bool] | None,
            Field(description="Metadata that each passage must have."),
        ] = None,
    ) -> list[dict[str, Any]]:
        if not question.strip():
            raise ToolError("The question is empty: there is nothing to search for.")
        wanted = {
            key: UntypedValue(value) if isinstance(value, str) else value
            for key, value in (filter or {}).items()
        }
        every: QueryOptions = {
            **options,
            "k": k,
            "filter": _matching_both(conditions, wanted),
        }
        try:
            [hits] = searcher.search([question], **every)
            problem = None
            if wanted and not hits and not conditions:  # it names keys of any passage
                problem = searcher.collection.explain_no_results(wanted)
        except RDRQdrantError as error:
            raise ToolError(str(error)) from None
        if problem:
            raise ToolError(f"Nothing was found. {problem}")
        return [hit.to_json() for hit in hits]

    tool = Tool.from_function(
        search,
        description=f"Find the passages of the collection {name!r} that answer a question. Each "
        "has a score (higher is better, comparable within one answer only), its id, title, text "
        "and metadata.",
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
    arguments = create_model(  # by default, unknown ones are ignored
        "searchArguments",
        __base__=tool.fn_metadata.arg_model,
        __cls_kwargs__={"extra": "forbid"},
    )
    tool.fn_metadata.arg_model = arguments
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return MCPServer("rdr-qdrant", tools=[tool], log_level="WARNING")


def _matching_both(
    fixed: Mapping[str, UntypedValue | AllOf] | None, wanted: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Conditions for passages that match both, also where both have one on the same key."""
    from rdr_qdrant.collection import AllOf

    together = dict(wanted)
    for key, value in (fixed or {}).items():
        together[key] = AllOf([value, wanted[key]]) if key in wanted else value
    return together or None
