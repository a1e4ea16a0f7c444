"""`rdr-qdrant eval`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.eval_summary import draw_plot, print_rankings, print_recall
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.option_groups import explicitly_set, refuse
from rdr_qdrant.cli.path_arguments import parse_path, parse_source
from rdr_qdrant.cli.progress import progress_shown
from rdr_qdrant.cli.stderr import rejects_reported
from rdr_qdrant.errors import UsageError
from rdr_qdrant.registry import PUBLISHED_QUESTIONS, RECALL_AT

if TYPE_CHECKING:
    from rdr_qdrant.evaluation.run_files import ResultWriter

EXAMPLE = "rdr-qdrant eval questions.jsonl -c wiki -k 1,5,20,100 --published trivia-test"

_file = partial(typer.Option, parser=parse_path, metavar="FILE")
_judged = partial(_file, rich_help_panel="Relevance judgments")
_written = partial(_file, rich_help_panel="Files")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringOptions:
    """Measures of eval, and the files that it writes."""

    k: Annotated[str, typer.Option("-k", metavar="N,N,...", help="Depths to measure at.")] = (
        ",".join(map(str, RECALL_AT))
    )
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE,...",
            help="dense, bm25, hybrid. Several are compared with the first, over the same "
            "questions.",
        ),
    ] = "dense"
    quoting: options.QuotingOption = "csv"
    match: Annotated[
        Literal["string", "regex"],
        typer.Option(help="Answers are texts, or regular expressions as in CuratedTREC."),
    ] = "string"
    published: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Show the published recall of the pair and its baseline beside it, for one of: "
            f"{', '.join(PUBLISHED_QUESTIONS)}.",
        ),
    ] = None
    compare_exact: Annotated[
        bool,
        typer.Option("--compare-exact", help="Search both ways and show what the index loses."),
    ] = False
    qrels: Annotated[
        Path | None,
        _judged(
            help="Measure nDCG, MRR, MAP and recall by these relevance judgments, TREC's or "
            "BEIR's; needs the extra ranking. Default of a BEIR folder: its qrels/test.tsv."
        ),
    ] = None
    run: Annotated[
        Path | None, _judged(help="Measure this TREC run by the qrels instead of searching.")
    ] = None
    output: Annotated[
        Path | None, _written(metavar="FILE.json", help="Write the hits in DPR's retrieval format.")
    ] = None
    trec: Annotated[
        Path | None, _written(help="Write the hits as a TREC run; white space in ids becomes %20.")
    ] = None
    plot: Annotated[
        Path | None,
        _written(metavar="FILE.png|.svg", help="Plot recall over k; needs the extra plot."),
    ] = None

    def depths(self) -> list[int]:
        """`-k` as numbers, ascending.

        Raises:
            UsageError: it holds something else, or a number below 1.
        """
        try:
            depths = sorted({int(part) for part in self.k.split(",")})
        except ValueError:
            raise UsageError(f"-k {self.k!r} is not a list of numbers such as 1,5,20.") from None
        if depths[0] < 1:
            raise UsageError(f"-k {self.k!r} holds {depths[0]}; every depth must be at least 1.")
        return depths

    def check_used(self, modes: Collection[str], *, by_qrels: bool) -> None:
        """Refuse options that have no effect on several modes, or where qrels are measured by.

        Raises:
            UsageError: one is set.
        """
        if len(modes) > 1:
            names = ["published", "compare_exact", "output", "trec"]
            refuse(explicitly_set(self, names), "is for one mode at a time: leave it out.")
        if by_qrels:
            names = ["quoting", "published", "match", "compare_exact", "output", "plot"]
            given = explicitly_set(self, names)
            refuse(given, "is for questions with answers, not for qrels: leave it out.")

    def check_files(self, inputs: Iterable[Path | None]) -> None:
        """Refuse files that cannot be written, and unknown data, before any work is done.

        Raises:
            UsageError: a file is one of the inputs, given twice or of an unknown format, or no
                figures are published for the data.
            OutputError: a file cannot be written, or matplotlib is not installed.
        """
        from rdr_qdrant.evaluation import check_data_set, check_outputs, check_plot

        if self.published is not None:
            check_data_set(self.published)
        outputs = (self.output, self.trec, self.plot)
        check_outputs([file for file in outputs if file], [file for file in inputs if file])
        if self.plot:
            check_plot(self.plot)

    @contextmanager
    def writers(self, tag: str) -> Iterator[list[ResultWriter]]:
        """Write `--output`, and `--trec` with this tag, while the body runs."""
        from rdr_qdrant.evaluation import dpr_run, trec_run

        with ExitStack() as stack:
            opened = [stack.enter_context(dpr_run(self.output))] if self.output else []
            if self.trec:
                opened.append(stack.enter_context(trec_run(self.trec, tag)))
            yield opened


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
    measuring: MeasuringOptions,
    as_json: options.JSONOption = False,
    searching: options.SearchOptions,
    qdrant: options.QdrantOptions,
    encoders: options.EncoderOptions,
) -> int:
    """Measure answer recall@k: how often one of the best k passages contains an answer.

    Computed as in DPR and on the model cards. With --qrels: nDCG@10, MRR@10, MAP and recall@k.
    """
    from rdr_qdrant import evaluation, readers
    from rdr_qdrant.client import RETRY_FOR_SECONDS, RetryPolicy

    depths = measuring.depths()
    if searching.exact and measuring.compare_exact:
        raise UsageError("--exact and --compare-exact contradict each other: leave one out.")
    modes = searching.query_options(list(dict.fromkeys(measuring.mode.split(","))))
    beir = readers.BEIRFolder.find(Path(questions)) if questions else None
    qrels = measuring.qrels or (beir.qrels() if beir else None)
    measuring.check_used(modes, by_qrels=qrels is not None)
    if measuring.run:
        if qrels is None:
            raise UsageError("--run is measured by qrels: name them with --qrels FILE.")
        given = ["QUESTIONS"] if questions and not beir else []
        given += ["--collection"] if collection is not None else []
        given += explicitly_set(measuring, ("trec", "mode"))
        for group in (searching, qdrant, encoders):
            given += explicitly_set(group)
        refuse(given, "has no effect on a run from a file: leave it out.")
        of_run = evaluation.RankingEvaluation(readers.read_qrels(qrels), depths)
        of_run.add_run(readers.read_trec_run(measuring.run))
        print_rankings({"run": of_run.report()}, as_json=as_json)
        return ExitStatus.DONE
    if questions is None:
        raise UsageError("Missing argument 'QUESTIONS'.")
    if collection is None:
        raise UsageError("Missing option '--collection' / '-c'.")
    source = beir.questions if beir else Path(questions)
    measuring.check_files([source, qrels])
    log = readers.RejectLog()
    with rejects_reported(log), ExitStack() as stack:
        ranking = evaluation.RankingEvaluation(readers.read_qrels(qrels), depths) if qrels else None
        if ranking:
            asked = ranking.select_questions(readers.read_questions_with_ids(source, log))
        else:
            asked = list(readers.read_questions(source, log, quoting=measuring.quoting))
        client = stack.enter_context(closing(qdrant.connect()))
        embeddings = encoders.embeddings_for(client, collection)
        progress = stack.enter_context(progress_shown("questions"))
        retry = RetryPolicy(RETRY_FOR_SECONDS, progress.show_retry)
        searcher = searching.searcher(embeddings, client, collection, retry)
        tag = "bm25" if list(modes) == ["bm25"] else embeddings.pair.name or "rdr-qdrant"
        writers = stack.enter_context(measuring.writers(tag))
        total = len(asked) * len(modes)
        if ranking:
            rankings = evaluation.rank_modes(
                searcher,
                asked,
                modes,
                ranking,
                exact=searching.exact,
                writers=writers,
                on_progress=lambda done: progress(done, total),
            )
        else:
            reports = evaluation.evaluate_modes(
                searcher,
                asked,
                modes,
                k=depths,
                exact=searching.exact,
                compare_exact=measuring.compare_exact,
                match=measuring.match,
                writers=writers,
                on_reject=log,
                on_progress=lambda done: progress(done, total),
            )
    if ranking:
        print_rankings(rankings, as_json=as_json)
    else:
        data, pair = measuring.published, embeddings.pair
        figures = evaluation.published_figures(pair, data) if data else None
        print_recall(reports, figures, as_json=as_json)
        if measuring.plot:
            draw_plot(measuring.plot, reports, figures, f"{pair.label}, collection {collection}")
    return ExitStatus.REJECTED if log.total else ExitStatus.DONE
