"""`rdr-qdrant search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.stdout import print_hits, print_json
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.collection import UntypedValue

EXAMPLE = 'rdr-qdrant search "Who wrote Faust?" -c wiki -k 3 --filter title=Faust'


def search(
    question: Annotated[str, typer.Argument(metavar="QUESTION", show_default=False)],
    collection: options.CollectionOption,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many passages.")] = 5,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Only passages with this metadata; may be given several times.",
        ),
    ] = None,
    score_threshold: Annotated[
        float | None,
        typer.Option(metavar="SCORE", help="Only passages with at least this inner product."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every point, not through the index.")
    ] = False,
    rescore: options.RescoreOption = True,
    oversampling: options.OversamplingOption = None,
    hnsw_ef: options.HnswEfOption = None,
    vector_name: options.VectorNameOption = "",
    as_json: options.JSONOption = False,
    url: options.URLOption = None,
    path: options.PathOption = None,
    api_key_file: options.APIKeyFileOption = None,
    allow_key_over_http: options.AllowKeyOverHTTPOption = None,
    grpc_port: options.GRPCPortOption = None,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    revision: options.RevisionOption = None,
    max_length: options.MaxLengthOption = options.DEFAULT_TOKENS,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    allow_unverified: options.UnverifiedOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Show the passages of a collection that fit a question best.

    Scores are raw inner products: higher is better, and there is no upper bound.
    """
    wanted = _parsed(conditions or [])
    if not question.strip():
        raise UsageError("The question is empty: there is nothing to search for.")
    params = options.search_params(rescore, oversampling, hnsw_ef)
    from rdr_qdrant.retriever import PassageSearcher

    client = options.open_client(url, path, api_key_file, allow_key_over_http, grpc_port)
    embeddings = options.open_embeddings(
        client,
        collection,
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        revision=revision,
        max_length=max_length,
        device=device,
        precision=precision,
    )
    searcher = PassageSearcher(
        embeddings,
        client,
        collection,
        vector_name=vector_name,
        allow_unverified=allow_unverified,
        search_params=params,
    )
    [hits] = searcher.search(
        [question], k=k, filter=wanted or None, score_threshold=score_threshold, exact=exact
    )
    if as_json:
        print_json([hit.to_json() for hit in hits])
    else:
        print_hits(hits, question)


def _parsed(conditions: list[str]) -> dict[str, UntypedValue]:
    """`["year=1999"]` as names and values whose type nobody has said."""
    from rdr_qdrant.collection import UntypedValue

    parsed = {}
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not (key and equals):
            raise UsageError(f"--filter {condition!r} is not of the form KEY=VALUE.")
        parsed[key] = UntypedValue(value)
    return parsed
