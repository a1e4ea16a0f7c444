"""`rdr-qdrant eval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.path_arguments import parse_path, parse_source
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.stderr import pluralize, print_message, rejects_reported
from rdr_qdrant.cli.stdout import print_json, print_table
from rdr_qdrant.errors import UsageError
from rdr_qdrant.registry import PUBLISHED_QUESTIONS, RECALL_AT

if TYPE_CHECKING:
    from rdr_qdrant.evaluation import (
        EvaluationReport,
        ExactComparison,
        PublishedFigures,
        RankingEvaluation,
        RankingReport,
    )

EXAMPLE = "rdr-qdrant eval questions.jsonl -c wiki -k 1,5,20,100 --published trivia-test"

_FILES = "Files"
_QRELS = "Relevance judgments"


class Match(StrEnum):
    """Values of `--match`."""

    string = "string"
    regex = "regex"


def evaluate_command(
    questions: Annotated[
        str | None,
        typer.Argument(
            parser=parse_source,
            metavar="QUESTIONS",
            help="JSON Lines with question and answers, or DPR's two-column .tsv; each also .gz. "
            "With --qrels: JSON Lines with _id and text, or a BEIR folder.",
            show_default=False,
        ),
    ] = None,
    collection: options.OptionalCollectionOption = None,
    *,
    k: Annotated[
        str, typer.Option("-k", metavar="N,N,...", help="Depths to measure at.")
    ] = ",".join(map(str, RECALL_AT)),
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE,...",
            help="dense, bm25, hybrid. Several are compared with the first, over the same "
            "questions.",
        ),
    ] = "dense",
    quoting: options.QuotingOption = "csv",
    match: Annotated[
        Match,
        typer.Option(help="Answers are texts, or regular expressions as in CuratedTREC."),
    ] = Match.string,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Show the published recall of the pair and its baseline beside it, for one of: "
            f"{', '.join(PUBLISHED_QUESTIONS)}.",
        ),
    ] = None,
    compare_exact: Annotated[
        bool,
        typer.Option("--compare-exact", help="Search both ways and show what the index loses."),
    ] = False,
    qrels: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE",
            help="Measure nDCG, MRR, MAP and recall by these relevance judgments, TREC's or "
            "BEIR's; needs the extra ranking. Default of a BEIR folder: its qrels/test.tsv.",
            rich_help_panel=_QRELS,
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE",
            help="Measure this TREC run by the qrels instead of searching.",
            rich_help_panel=_QRELS,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE.json",
            help="Write the hits in DPR's retrieval format.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    trec: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE",
            help="Write the hits as a TREC run; white space in ids becomes %20.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE.png|.svg",
            help="Plot recall over k; needs the extra plot.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    as_json: options.JSONOption = False,
    searching: options.SearchOptions,
    fusing: options.FusionOptions,
    qdrant: options.QdrantOptions,
    encoders: options.EncoderOptions,
) -> int:
    """Measure answer recall@k: how often one of the best k passages contains an answer.

    Computed as in DPR and on the model cards. With --qrels: nDCG@10, MRR@10, MAP and recall@k.
    """
    depths = parse_depths(k)
    if searching.exact and compare_exact:
        raise UsageError("--exact and --compare-exact contradict each other: leave one out.")
    params = searching.search_params()
    modes = list(dict.fromkeys(mode.split(",")))
    fusing.check_used(modes)
    searching.check_used(modes)
    query_options = {one: fusing.query_options(one) for one in modes}
    if len(modes) > 1:
        _refuse_options(
            "is for one mode at a time",
            {
                "--published": published is not None,
                "--compare-exact": compare_exact,
                "--output": output is not None,
                "--trec": trec is not None,
            },
        )
    from rdr_qdrant.readers import BEIRFolder

    if beir := BEIRFolder.find(Path(questions)) if questions else None:
        qrels = qrels or beir.qrels()
    if qrels:
        _refuse_options(
            "is for questions with answers, not for qrels",
            {
                "--quoting": quoting != "csv",
                "--published": published is not None,
                "--match": match is not Match.string,
                "--compare-exact": compare_exact,
                "--output": output is not None,
                "--plot": plot is not None,
            },
        )
    if run:
        if qrels is None:
            raise UsageError("--run is measured by qrels: name them with --qrels FILE.")
        groups = (searching, fusing, qdrant, encoders)
        _refuse_options(
            "has no effect on a run from a file",
            {
                "QUESTIONS": questions is not None and beir is None,
                "--collection": collection is not None,
                "--trec": trec is not None,
                "--mode": modes != ["dense"],
                **{name: True for group in groups for name in options.explicitly_set(group)},
            },
        )
        return _evaluate_run(run, qrels, depths, as_json=as_json)
    if questions is None:
        raise UsageError("Missing argument 'QUESTIONS'.")
    if collection is None:
        raise UsageError("Missing option '--collection' / '-c'.")
    from rdr_qdrant.client import RETRY_FOR_SECONDS, RetryPolicy
    from rdr_qdrant.evaluation import (
        RankingEvaluation,
        check_outputs,
        check_plot,
        dpr_run,
        draw_recall,
        evaluate,
        published_figures,
        trec_run,
    )
    from rdr_qdrant.evaluation.baselines import check_data_set
    from rdr_qdrant.readers import (
        RejectLog,
        read_qrels,
        read_questions,
        read_questions_with_ids,
    )
    from rdr_qdrant.searcher import PassageSearcher

    if published is not None:
        check_data_set(published)
    source = beir.questions if beir else Path(questions)
    inputs = [source, *([qrels] if qrels else [])]
    check_outputs([file for file in (output, trec, plot) if file], inputs)
    if plot:
        check_plot(plot)
    log = RejectLog()
    done = 0

    def fraction() -> float:
        return done / (len(asked) * len(modes))

    reports: dict[str, EvaluationReport] = {}
    rankings: dict[str, RankingEvaluation] = {}
    with rejects_reported(log), ExitStack() as stack:
        if qrels:
            judged = read_qrels(qrels)
            rankings = {one: RankingEvaluation(judged, depths) for one in modes}
            asked = list(read_questions_with_ids(source, log))
            for ranking in rankings.values():
                selected = ranking.select_questions(asked)
            asked = selected
        else:
            asked = list(read_questions(questions, log, quoting=quoting))
        client = stack.enter_context(closing(qdrant.connect()))
        embeddings = encoders.embeddings_for(client, collection)
        beside = published_figures(embeddings.pair, published) if published else None
        show_progress = stack.enter_context(progress_shown("questions", fraction))
        searcher = PassageSearcher(
            embeddings,
            client,
            collection,
            vector_name=searching.vector_name,
            allow_unverified=searching.allow_unverified,
            search_params=params,
            retry=RetryPolicy(
                RETRY_FOR_SECONDS,
                lambda why, seconds: show_progress.show(
                    f"{done:,} questions; Qdrant: {why}, retrying in {seconds:.1f} s"
                ),
            ),
        )
        if rankings:
            rankings[modes[0]].check_documents(searcher.collection)
        files = [stack.enter_context(dpr_run(output))] if output else []
        if trec:
            tag = "bm25" if modes == ["bm25"] else embeddings.pair.name or "rdr-qdrant"
            files.append(stack.enter_context(trec_run(trec, tag)))
        for number, one in enumerate(modes):

            def on_progress(asked_now: int, before: int = number * len(asked)) -> None:
                nonlocal done
                done = before + asked_now
                show_progress(done)

            ranked = rankings.get(one)
            reports[one] = evaluate(
                searcher,
                asked,
                k=[*depths, ranked.depth] if ranked else depths,
                exact=searching.exact,
                compare_exact=compare_exact,
                match=match.value,
                options=query_options[one],
                writers=[*files, ranked] if ranked else files,
                on_reject=log if number == 0 else None,
                on_progress=on_progress,
            )
    seconds = sum(report.seconds for report in reports.values())
    if rankings:
        measured = {one: ranking.report() for one, ranking in rankings.items()}
        _print_rankings(measured, seconds, as_json=as_json)
    elif len(modes) == 1:
        _print_report(reports[modes[0]], beside, as_json=as_json)
    else:
        _print_modes(reports, depths, as_json=as_json)
    if plot:
        others = [(one, reports[one].recall) for one in modes[1:]]
        draw_recall(
            plot,
            reports[modes[0]].recall,
            others or (beside.rows if beside else ()),
            title=f"Answer recall on {published}" if published else "Answer recall",
            subtitle=f"{embeddings.pair.label}, collection {collection}, "
            f"{pluralize(len(asked), 'questions')}",
            label=modes[0] if others else "measured",
        )
    return ExitStatus.REJECTED if log.total else ExitStatus.DONE


def _refuse_options(reason: str, given: Mapping[str, bool]) -> None:
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"{name} {reason}: leave it out.")


def _evaluate_run(run: Path, qrels: Path, depths: Sequence[int], *, as_json: bool) -> int:
    from rdr_qdrant.evaluation import RankingEvaluation
    from rdr_qdrant.readers import read_qrels, read_trec_run

    ranking = RankingEvaluation(read_qrels(qrels), depths)
    ranking.add_run(read_trec_run(run))
    _print_rankings({"run": ranking.report()}, None, as_json=as_json)
    return ExitStatus.DONE


def _print_rankings(
    reports: Mapping[str, RankingReport], seconds: float | None, *, as_json: bool
) -> None:
    """Print the measures of a run or of some modes, the first of which is compared with."""
    from rdr_qdrant.evaluation import ModeComparison, difference_table, ranking_table

    first, *others = reports.values()
    for remark in first.remarks():
        print_message(f"Note: {remark}")
    comparison = ModeComparison({one: report.per_question for one, report in reports.items()})
    if as_json:
        print_json(
            first.to_json()
            | (comparison.to_json() if others else {})
            | ({} if seconds is None else {"seconds": round(seconds, 3)})
        )
        return
    header, rows = ranking_table(first)
    if others:
        rows = [[one, *ranking_table(report)[1][0]] for one, report in reports.items()]
        print_table(["mode", *header], rows)
        print()
        print_table(*difference_table(comparison, header, decimals=4))
    else:
        print_table(header, rows, numbers=header)
    took = "" if seconds is None else f" in {duration(seconds)}"
    print_message(f"{pluralize(first.questions, 'questions')}{took}.")


def _print_modes(
    reports: Mapping[str, EvaluationReport], depths: Sequence[int], *, as_json: bool
) -> None:
    """Print answer recall of several modes, and the differences to the first."""
    from rdr_qdrant.evaluation import ModeComparison, difference_table, hits_at, recall_table

    first = next(iter(reports.values()))
    comparison = ModeComparison(
        {one: hits_at(report.first_hits, depths) for one, report in reports.items()}
    )
    seconds = sum(report.seconds for report in reports.values())
    if as_json:
        print_json(first.to_json() | comparison.to_json() | {"seconds": round(seconds, 3)})
        return
    header, _ = recall_table(first.recall)
    rows = [[one, *(f"{v:.2f}" for v in r.recall.values())] for one, r in reports.items()]
    print_table(["answer recall, %", *header[1:]], rows)
    print()
    print_table(*difference_table(comparison, header[1:], decimals=2))
    print_message(f"{pluralize(first.questions, 'questions')} in {duration(seconds)}.")


def _print_report(
    report: EvaluationReport, beside: PublishedFigures | None, *, as_json: bool
) -> None:
    for remark in beside.remarks(report.questions) if beside else ():
        print_message(f"Note: {remark}")
    if as_json:
        print_json(report.to_json() | ({"published": beside.to_json()} if beside else {}))
        return
    from rdr_qdrant.evaluation import recall_table

    print_table(*recall_table(report.recall, beside.rows if beside else ()))
    if report.exact:
        print_comparison(report.exact)
    print_message(f"{pluralize(report.questions, 'questions')} in {duration(report.seconds)}.")


def print_comparison(exact: ExactComparison) -> None:
    """Print the recall that the index loses, as a table."""
    header = ["beside exact search", *(f"@{depth}" for depth in exact.recall)]
    rows = [
        ("answer recall, exact search, %", *(f"{v:.2f}" for v in exact.recall.values())),
        ("  what the index changes, points", *(f"{v:+.2f}" for v in exact.difference.values())),
        ("passages of exact search found, %", *(f"{v:.2f}" for v in exact.overlap.values())),
    ]
    print()
    print_table(header, rows)


def print_recall(recall: dict[int, float]) -> None:
    """Print recall by depth as a table."""
    from rdr_qdrant.evaluation import recall_table

    print_table(*recall_table(recall))


def parse_depths(text: str) -> list[int]:
    """Parse `"20,1,5"` as `[1, 5, 20]`."""
    try:
        depths = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"-k {text!r} is not a list of numbers such as 1,5,20.") from None
    if depths[0] < 1:
        raise UsageError(f"-k {text!r} holds {depths[0]}; every depth must be at least 1.")
    return depths
