"""`rdr-qdrant eval`."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.ingest_command import EXIT_REJECTS
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.stderr import counted, say, saying_rejects
from rdr_qdrant.cli.stdout import print_json, print_table
from rdr_qdrant.errors import UsageError
from rdr_qdrant.registry import PUBLISHED_QUESTIONS, RECALL_AT

if TYPE_CHECKING:
    from rdr_qdrant.evaluation import EvaluationReport, ExactComparison, PublishedFigures

EXAMPLE = "rdr-qdrant eval questions.jsonl -c wiki -k 1,5,20,100 --published trivia-test"

_FILES = "Files"


class Match(StrEnum):
    """What `--match` takes."""

    string = "string"
    regex = "regex"


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
    k: Annotated[
        str, typer.Option("-k", metavar="N,N,...", help="At which depths to measure.")
    ] = ",".join(map(str, RECALL_AT)),
    match: Annotated[
        Match,
        typer.Option(help="Answers are texts, or patterns as those of CuratedTREC."),
    ] = Match.string,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help=f"Set the model card's row and its baseline beside it: "
            f"{', '.join(PUBLISHED_QUESTIONS)}.",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every point, not through the index.")
    ] = False,
    compare_exact: Annotated[
        bool, typer.Option("--compare-exact", help="Search both ways; show what the index loses.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Write what was found, in DPR's retrieval format.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    trec: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what was found as a TREC run; white space in ids as %20.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png|.svg",
            help="Draw recall over k; needs the extra plot.",
            rich_help_panel=_FILES,
        ),
    ] = None,
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
) -> int:
    """Measure answer recall: how often one of the best k passages contains an answer.

    As DPR computes it, and as the model cards give it.
    """
    depths = parse_depths(k)
    if exact and compare_exact:
        raise UsageError("--exact and --compare-exact: leave one out, there is nothing to compare.")
    params = options.search_params(rescore, oversampling, hnsw_ef)
    from rdr_qdrant.evaluation import (
        check_outputs,
        check_plot,
        dpr_run,
        draw_recall,
        evaluate,
        published_figures,
        trec_run,
    )
    from rdr_qdrant.evaluation.baselines import check_data_set
    from rdr_qdrant.readers import RejectLog, read_questions
    from rdr_qdrant.retriever import PassageSearcher

    if published is not None:
        check_data_set(published)
    check_outputs([file for file in (output, trec, plot) if file], [Path(questions)])
    if plot:
        check_plot(plot)
    log = RejectLog()
    with saying_rejects(log):
        asked = list(read_questions(questions, log))
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
        beside = published_figures(embeddings.pair, published) if published else None
        searcher = PassageSearcher(
            embeddings,
            client,
            collection,
            vector_name=vector_name,
            allow_unverified=allow_unverified,
            search_params=params,
        )
        done = 0

        def fraction() -> float:
            return done / len(asked)

        with ExitStack() as files, showing_progress("questions", fraction) as update:

            def progress(number: int) -> None:
                nonlocal done
                done = number
                update(number)

            writers = [files.enter_context(dpr_run(output))] if output else []
            if trec:
                tag = embeddings.pair.name or "rdr-qdrant"
                writers.append(files.enter_context(trec_run(trec, tag)))
            report = evaluate(
                searcher,
                asked,
                k=depths,
                exact=exact,
                compare_exact=compare_exact,
                match=match.value,
                writers=writers,
                on_reject=log,
                on_progress=progress,
            )
    _print_report(report, beside, as_json=as_json)
    if plot:
        draw_recall(
            plot,
            report.recall,
            beside.rows if beside else (),
            title=f"Answer recall on {published}" if published else "Answer recall",
            subtitle=f"{embeddings.pair.label}, collection {collection}, "
            f"{counted(report.questions, 'questions')}",
        )
    return EXIT_REJECTS if log.total else 0


def _print_report(
    report: EvaluationReport, beside: PublishedFigures | None, *, as_json: bool
) -> None:
    for remark in beside.remarks(report.questions) if beside else ():
        say(f"Note: {remark}")
    if as_json:
        print_json(report.to_json() | ({"published": beside.to_json()} if beside else {}))
        return
    from rdr_qdrant.evaluation import recall_table

    print_table(*recall_table(report.recall, beside.rows if beside else ()))
    if report.exact:
        print_comparison(report.exact)
    say(f"{counted(report.questions, 'questions')} in {duration(report.seconds)}.")


def print_comparison(exact: ExactComparison) -> None:
    """What the index loses, as a table."""
    header = ["beside exact search", *(f"@{depth}" for depth in exact.recall)]
    rows = [
        ("answer recall, exact search, %", *(f"{v:.2f}" for v in exact.recall.values())),
        ("  what the index changes, points", *(f"{v:+.2f}" for v in exact.difference.values())),
        ("passages of exact search found, %", *(f"{v:.2f}" for v in exact.overlap.values())),
    ]
    print()
    print_table(header, rows)


def print_recall(recall: dict[int, float]) -> None:
    """Depths and percentages as a table."""
    from rdr_qdrant.evaluation import recall_table

    print_table(*recall_table(recall))


def parse_depths(text: str) -> list[int]:
    """`"20,1,5"` as `[1, 5, 20]`."""
    try:
        depths = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"-k {text!r} is not a list of numbers such as 1,5,20.") from None
    if depths[0] < 1:
        raise UsageError(f"-k {text!r} holds {depths[0]}; every depth must be at least 1.")
    return depths
