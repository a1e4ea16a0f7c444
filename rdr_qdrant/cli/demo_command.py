"""`rdr-qdrant demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rdr_qdrant.cli.path_arguments import parse_qdrant_folder
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.stderr import print_message
from rdr_qdrant.cli.stdout import print_hits, print_table
from rdr_qdrant.client.connect import DEFAULT_PATH
from rdr_qdrant.registry import DEMO_MODEL

EXAMPLE = "rdr-qdrant demo"
COLLECTION = "rdr-demo"
EXAMPLE_SOURCE = "examples/data/passages.tsv"
"""Source recorded in the passages' metadata: the file's path in a clone."""
QUESTIONS = (
    "Which river passes through ten countries on its way to the Black Sea?",
    "What did Henry V's archers win in 1415?",
    "Who worked out a writing system for the Cherokee language?",
)


def demo(
    path: Annotated[
        Path | None,
        typer.Option(
            parser=parse_qdrant_folder,
            metavar="DIR",
            help="Folder to store it in. Default: ./qdrant_data.",
        ),
    ] = None,
) -> None:
    """Load 240 passages, ask three questions, and measure answer recall.

    Needs no server, no model hub and no GPU; takes less than a minute.
    """
    from rdr_qdrant.client import connect
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.evaluation import evaluate, recall_table
    from rdr_qdrant.ingest import QdrantLoader
    from rdr_qdrant.readers import RejectLog, fraction_read, open_source, read_questions
    from rdr_qdrant.searcher import PassageSearcher

    data = example_data()
    folder = path or Path(DEFAULT_PATH)
    log = RejectLog()
    source = open_source(data / "passages.tsv", EXAMPLE_SOURCE)
    embeddings = RDREmbeddings(model=DEMO_MODEL)
    client = connect(path=folder)
    print_message(
        f"Loading 240 passages into {COLLECTION!r} in {folder}, with the pair {DEMO_MODEL!r}."
    )
    with progress_shown("passages", lambda: fraction_read([source])) as progress:
        report = QdrantLoader(
            embeddings=embeddings,
            client=client,
            collection_name=COLLECTION,
            batch_size=32,
            on_reject=log,
            on_progress=lambda report: progress(
                report.read, waiting=report.in_hand, skipped=report.unchanged
            ),
        ).load_sources([source])
    present = report.unchanged + report.updated
    print_message(
        f"{report.uploaded:,} encoded and uploaded, {present:,} already present, "
        f"in {duration(report.seconds)}."
    )
    searcher = PassageSearcher(embeddings, client, COLLECTION)
    for question, [best, *_] in zip(QUESTIONS, searcher.search(QUESTIONS, k=1), strict=True):
        typer.echo(f"? {question}")
        print_hits([best], question)
    measured = evaluate(searcher, read_questions(data / "questions.tsv", log))
    typer.echo(f"{measured.questions} questions, {report.points} passages:")
    print_table(*recall_table(measured.recall))
    client.close()
    where = f" --path {path}" if path else ""
    command = sys.argv[0] if sys.argv[0].endswith("rdr-qdrant") else "rdr-qdrant"
    print_message(f'Ask your own question: {command} search "your question" -c {COLLECTION}{where}')
    print_message(
        f"Load your own passages: {command} ingest FILE -c mine --model {DEMO_MODEL}{where}"
    )


def example_data() -> Path:
    """The folder of the example passages, in an installed wheel or in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "example_data"
    return installed if installed.is_dir() else package.parent / "examples" / "data"
