"""`rdr-qdrant demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.eval_command import print_recall
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.stderr import say
from rdr_qdrant.cli.stdout import print_hits
from rdr_qdrant.client.connect import DEFAULT_PATH
from rdr_qdrant.registry import DEMO_MODEL

EXAMPLE = "rdr-qdrant demo"
COLLECTION = "rdr-demo"
EXAMPLE_SOURCE = "examples/data/passages.tsv"
"""What the passages' `source` says, as where that file is ingested in a clone."""
QUESTIONS = (
    "Which river passes through ten countries on its way to the Black Sea?",
    "What did Henry V's archers win in 1415?",
    "Who worked out a writing system for the Cherokee language?",
)


def demo(
    path: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep it in this folder. Default: ./qdrant_data."),
    ] = None,
    debug: options.DebugOption = False,
) -> None:
    """Load 240 passages, ask three questions, and measure answer recall.

    Needs no server, no model hub and no GPU; takes less than a minute.
    """
    from rdr_qdrant.client import connect
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.evaluation import evaluate
    from rdr_qdrant.ingest import QdrantLoader, fraction_read
    from rdr_qdrant.readers import RejectLog, open_source, read_questions
    from rdr_qdrant.retriever import PassageSearcher

    data = example_data()
    folder = path or Path(DEFAULT_PATH)
    log = RejectLog()
    source = open_source(data / "passages.tsv", EXAMPLE_SOURCE)
    embeddings = RDREmbeddings(model=DEMO_MODEL)
    client = connect(path=folder)
    say(f"Loading 240 passages into {COLLECTION!r} in {folder}, with the pair {DEMO_MODEL!r}.")
    with showing_progress("passages", lambda: fraction_read([source])) as update:
        report = QdrantLoader(
            embeddings=embeddings,
            client=client,
            collection_name=COLLECTION,
            batch_size=32,
            on_reject=log,
            on_progress=lambda report: update(
                report.read, waiting=report.in_hand, skipped=report.unchanged
            ),
        ).load_sources([source])
    there = report.unchanged + report.updated
    say(
        f"{report.uploaded:,} encoded and uploaded, {there:,} already there, "
        f"in {duration(report.seconds)}.\n"
    )
    searcher = PassageSearcher(embeddings, client, COLLECTION)
    for question, [best, *_] in zip(QUESTIONS, searcher.search(QUESTIONS, k=1), strict=True):
        typer.echo(f"? {question}")
        print_hits([best], question)
    recall = evaluate(searcher, read_questions(data / "questions.tsv", log))
    typer.echo(f"{recall.questions} questions, {report.points} passages:")
    print_recall(recall.recall)
    client.close()
    where = f" --path {path}" if path else ""
    command = sys.argv[0] if sys.argv[0].endswith("rdr-qdrant") else "rdr-qdrant"
    say(f'\nNow ask it yourself: {command} search "your question" -c {COLLECTION}{where}')
    say(f"Then your own passages: {command} ingest FILE -c mine --model {DEMO_MODEL}{where}")


def example_data() -> Path:
    """The folder with the example passages: inside an installed wheel, or in the repository."""
    package = Path(__file__).parents[1]
    inside = package / "example_data"
    return inside if inside.is_dir() else package.parent / "examples" / "data"
