"""`rdr-qdrant eval`."""

from __future__ import annotations

from typing import Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.ingest import EXIT_REJECTS
from rdr_qdrant.cli.messages import say, saying_rejects
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.results import print_json, print_table
from rdr_qdrant.errors import UsageError
from rdr_qdrant.models import RECALL_AT

EXAMPLE = "rdr-qdrant eval questions.jsonl -c wiki -k 1,5,20,100"


def evaluate_command(
    questions: Annotated[
        str,
        typer.Argument(
            metavar="QUESTIONS",
            help="JSON Lines with question and answers, or DPR's two-column .tsv; each also .gz.",
            show_default=False,
        ),
    ],
    collection: options.CollectionOption,
    k: Annotated[str, typer.Option("-k", metavar="N,N,...", help="Depths.")] = ",".join(
        map(str, RECALL_AT)
    ),
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every point, not through the index.")
    ] = False,
    as_json: options.JSONOption = False,
    url: options.URLOption = None,
    path: options.PathOption = None,
    api_key_file: options.APIKeyFileOption = None,
    allow_key_over_http: options.AllowKeyOverHTTPOption = None,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    max_length: options.MaxLengthOption = options.DEFAULT_TOKENS,
    device: options.DeviceOption = "auto",
    allow_unverified: options.UnverifiedOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Measure answer recall: how often one of the best k passages contains an answer.

    As DPR computes it, and as the model cards give it.
    """
    depths = parse_depths(k)
    from rdr_qdrant.evaluation import evaluate
    from rdr_qdrant.readers import RejectLog, read_questions
    from rdr_qdrant.retriever import PassageSearcher

    log = RejectLog()
    stream = read_questions(questions, log)
    client = options.open_client(url, path, api_key_file, allow_key_over_http)
    embeddings = options.open_embeddings(
        client,
        collection,
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        max_length=max_length,
        device=device,
    )
    searcher = PassageSearcher(embeddings, client, collection, allow_unverified=allow_unverified)
    with saying_rejects(log), showing_progress("questions", lambda: None) as update:
        report = evaluate(searcher, stream, k=depths, exact=exact, on_progress=update)
    client.close()
    if as_json:
        print_json(report.to_json())
    else:
        print_recall(report.recall)
        say(f"{report.questions:,} questions in {duration(report.seconds)}.")
    return EXIT_REJECTS if log.total else 0


def print_recall(recall: dict[int, float]) -> None:
    """Depths and percentages as a table."""
    rows = [("answer recall, %", *(f"{value:.2f}" for value in recall.values()))]
    print_table(["", *(f"@{depth}" for depth in recall)], rows)


def parse_depths(text: str) -> list[int]:
    """`"20,1,5"` as `[1, 5, 20]`."""
    try:
        depths = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"-k {text!r} is not a list of numbers such as 1,5,20.") from None
    if depths[0] < 1:
        raise UsageError(f"-k {text!r} holds {depths[0]}; every depth must be at least 1.")
    return depths
