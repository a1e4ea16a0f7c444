"""Reproduces the model card's table with DPR's Wikipedia passages and questions.

    python examples/reproduce/reproduce.py --url http://localhost:6333             # all passages
    python examples/reproduce/reproduce.py --limit 2000 --path ./trial             # minutes

Needs network access to the model hub and, for all passages, a GPU and a Qdrant server; README.md
beside this file has the requirements. If interrupted, run the same command to resume.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from fetching import RemoteTable, fetch, fetch_first_rows

from rdr_qdrant import QdrantLoader, RDREmbeddings, RDRQdrantError, connect
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.stderr import print_message
from rdr_qdrant.cli.stdout import print_table
from rdr_qdrant.evaluation import dpr_run, evaluate, published_figures, recall_table
from rdr_qdrant.readers import RejectLog, open_source, read_questions
from rdr_qdrant.registry import DEFAULT_MODEL, PAIRS, PUBLISHED_QUESTIONS
from rdr_qdrant.searcher import PassageSearcher

BASE_URL = "https://dl.fbaipublicfiles.com"
PASSAGES = RemoteTable("dpr/wikipedia_split/psgs_w100.tsv.gz", 21_015_324, header=True)
QUESTIONS = {
    data: RemoteTable(f"dpr/data/retriever/{data}.qa.csv{suffix}", PUBLISHED_QUESTIONS[data])
    for data, suffix in (
        ("trivia-test", ".gz"),
        ("trivia-dev", ".gz"),
        ("nq-test", ""),
        ("nq-dev", ""),
    )
}
"""Paths as in DPR's `dpr/data/download_data.py`."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        return reproduce(options)
    except RDRQdrantError as error:
        print_message(f"Error: {error}")
        return 1
    except OSError as error:
        print_message(f"Error: {error}. Run this again to resume.")
        return 1
    except KeyboardInterrupt:
        print_message("Interrupted. Progress is kept; run the same command to resume.")
        return 130


def reproduce(options: argparse.Namespace) -> int:
    """Download, ingest, evaluate, and print the table."""
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    limit: int | None = options.limit
    questions = fetch(options.base_url, QUESTIONS[options.data], folder)
    passages = (
        fetch(options.base_url, PASSAGES, folder)
        if limit is None
        else fetch_first_rows(options.base_url, PASSAGES, folder, limit)
    )
    if options.download_only:
        print_message(f"{passages} and {questions} are complete and verified.")
        return 0

    client = connect(url=options.url, path=options.path)
    embeddings = RDREmbeddings(model=options.model, device=options.device)
    log = RejectLog()
    source = open_source(passages)
    print_message(f"Ingesting {passages} into {options.collection!r} with {options.model}.")
    with progress_shown("passages", source.fraction_read) as update:
        report = QdrantLoader(
            embeddings=embeddings,
            client=client,
            collection_name=options.collection,
            batch_size=options.batch_size,
            on_reject=log,
            on_progress=lambda report: update(report.read),
        ).load(islice(source.passages(log), limit))
    rate = report.read / max(report.seconds, 1e-6)
    print_message(
        f"{report.points:,} points; {report.uploaded:,} uploaded, {report.unchanged:,} "
        f"unchanged, {duration(report.seconds)}, {rate:,.0f} passages/s."
    )

    asked = list(islice(read_questions(questions, log), limit))
    searcher = PassageSearcher(embeddings, client, options.collection)
    run = folder / f"{options.model}-{options.data}{'' if limit is None else f'-{limit}'}.json"
    with dpr_run(run) as write, progress_shown("questions", lambda: None) as update:
        result = evaluate(
            searcher,
            asked,
            exact=options.exact,
            writers=[write],
            on_reject=log,
            on_progress=update,
        )
    client.close()
    for line in log.summary():
        print_message(f"Rejected: {line}")

    published = published_figures(PAIRS[options.model], options.data)
    for remark in published.remarks(result.questions):
        print_message(f"Note: {remark}")
    if report.points != PASSAGES.rows:
        print_message(
            f"Note: the published figures are for {PASSAGES.rows:,} passages; these are for "
            f"{report.points:,} and only show that everything runs."
        )
    print_table(*recall_table(result.recall, published.rows))
    print_message(f"{result.questions:,} questions in {duration(result.seconds)}. Results: {run}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Reproduce the model card's table with DPR's Wikipedia and questions."
    )
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, choices=list(PAIRS), help="default: %(default)s")
    add("--data", default="trivia-test", choices=list(QUESTIONS), help="default: %(default)s")
    add(
        "--limit",
        type=_positive,
        metavar="N",
        help="try it with N passages and questions",
    )
    add("--folder", type=Path, default=Path("reproduce_data"), help="downloads and results")
    add("--collection", metavar="NAME", help="default: wiki-MODEL, or trial-MODEL-N with --limit")
    add("--url", help="a Qdrant server")
    add("--path", help="an embedded Qdrant in this folder")
    add("--exact", action="store_true", help="exact search, without the index")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--batch-size", type=_positive, default=2048, help="passages encoded together")
    add("--download-only", action="store_true", help="download and verify the files, then stop")
    add("--base-url", default=BASE_URL, help="a mirror of %(default)s")
    options = parser.parse_args(arguments)
    trial = "" if options.limit is None else f"-{options.limit}"
    options.collection = (
        options.collection or f"{'trial' if trial else 'wiki'}-{options.model}{trial}"
    )
    options.base_url = options.base_url.rstrip("/")
    return options


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
