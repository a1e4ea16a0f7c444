"""`rdr-qdrant search`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.stdout import print_hits, print_json
from rdr_qdrant.errors import UsageError

EXAMPLE = 'rdr-qdrant search "Who wrote Faust?" -c wiki -k 3 --filter title=Faust'


def search(
    question: Annotated[str, typer.Argument(metavar="QUESTION", show_default=False)],
    collection: options.CollectionOption,
    *,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Number of passages.")] = 5,
    mode: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="dense compares vectors, bm25 words (no encoder is loaded), hybrid both.",
        ),
    ] = "dense",
    conditions: options.FilterOption = None,
    score_threshold: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Only passages with at least this score.")
    ] = None,
    neighbors: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Show each passage with the N parts of its text before and after it.",
        ),
    ] = 0,
    as_json: options.JSONOption = False,
    searching: options.SearchOptions,
    qdrant: options.QdrantOptions,
    encoders: options.EncoderOptions,
) -> None:
    """Find the passages of a collection that fit a question best.

    Scores are raw inner products: higher is better, and there is no upper bound. In mode bm25 they
    are sums of word weights; in mode hybrid they only order the hits of one question. Both need a
    collection with BM25: rdr-qdrant ingest --bm25, or rdr-qdrant index --bm25 for one that exists.
    """
    filters = options.parse_filters(conditions)
    if not question.strip():
        raise UsageError("The question is empty: there is nothing to search for.")
    from rdr_qdrant.collection import check_options

    query_options = searching.query_options([mode], k)[mode]
    query_options |= {
        "filter": filters or None,
        "score_threshold": score_threshold,
        "exact": searching.exact,
        "neighbors": neighbors,
    }
    check_options(query_options)
    with closing(qdrant.connect()) as client:
        searcher = searching.searcher(
            encoders.embeddings_for(client, collection), client, collection
        )
        [hits] = searcher.search([question], **query_options)
    if as_json:
        print_json([hit.to_json() for hit in hits])
    else:
        print_hits(hits, question)
