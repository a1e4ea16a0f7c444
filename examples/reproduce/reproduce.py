"""The model card's table, made again: DPR's Wikipedia and its questions through rdr-qdrant.

    python examples/reproduce/reproduce.py --url http://localhost:6333             # the whole
    python examples/reproduce/reproduce.py --limit 2000 --path ./trial             # minutes

Needs the hub, the network, and for the whole a GPU and a Qdrant server; README.md beside this file
says how much of what. Interrupted at any point, the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from fetching import Remote, fetch, fetch_beginning

from rdr_qdrant import QdrantLoader, RDREmbeddings, RDRQdrantError, connect
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.stderr import print_message
from rdr_qdrant.cli.stdout import print_table
from rdr_qdrant.evaluation import dpr_run, evaluate, published_figures, recall_table
from rdr_qdrant.readers import RejectLog, open_source, read_questions
from rdr_qdrant.registry import DEFAULT_MODEL, PAIRS, PUBLISHED_QUESTIONS
from rdr_qdrant.retriever import PassageSearcher

BASE_URL = "https://dl.fbaipublicfiles.com"
PASSAGES = Remote("dpr/wikipedia_split/psgs_w100.tsv.gz", 21_015_324, header=True)
QUESTIONS = {
    data: Remote(f"dpr/data/retriever/{data}.qa.csv{suffix}", PUBLISHED_QUESTIONS[data])
    for data, suffix in (
        ("trivia-test", ".gz"),
        ("trivia-dev", ".gz"),
        ("nq-test", ""),
        ("nq-dev", ""),
    )
}
"""The paths are those of DPR's own `dpr/data/download_data.py`."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        return reproduce(options)
    except RDRQdrantError as error:
        print_message(f"Error: {error}")
        return 1
    except OSError as error:
        print_message(f"Error: {error}. Mend it and run this again; it goes on from there.")
        return 1
    except KeyboardInterrupt:
        print_message("Interrupted. What was done is kept; the same command goes on from there.")
        return 130


def reproduce(options: argparse.Namespace) -> int:
    """Fetch, ingest, evaluate, and print the table."""
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    limit: int | None = options.limit
    questions = fetch(options.base_url, QUESTIONS[options.data], folder)
    passages = (
        fetch(options.base_url, PASSAGES, folder)
        if limit is None
        else fetch_beginning(options.base_url, PASSAGES, folder, limit)
    )
    if options.download_only:
        print_message(f"{passages} and {questions} are there and checked.")
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
        f"{report.points:,} points; {report.uploaded:,} uploaded, {report.unchanged:,} already "
        f"there, {duration(report.seconds)}, {rate:,.0f} passages/s."
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
        print_message(f"Set aside: {line}")

    published = published_figures(PAIRS[options.model], options.data)
    for remark in published.remarks(result.questions):
        print_message(f"Note: {remark}")
    if report.points != PASSAGES.rows:
        print_message(
            f"Note: the published figures are over {PASSAGES.rows:,} passages; these are over "
            f"{report.points:,}, so they say only that everything runs."
        )
    print_table(*recall_table(result.recall, published.rows))
    print_message(
        f"{result.questions:,} questions in {duration(result.seconds)}. What was found: {run}"
    )
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Make the model card's table again: DPR's Wikipedia, and its questions."
    )
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, choices=list(PAIRS), help="default: %(default)s")
    add("--data", default="trivia-test", choices=list(QUESTIONS), help="default: %(default)s")
    add("--limit", type=_positive, metavar="N", help="a trial: the first N passages and questions")
    add("--folder", type=Path, default=Path("reproduce_data"), help="downloads and results")
    add("--collection", metavar="NAME", help="default: wiki-MODEL, with a limit trial-MODEL-N")
    add("--url", help="a Qdrant server")
    add("--path", help="an embedded Qdrant in this folder")
    add("--exact", action="store_true", help="compare with every point, not through the index")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--batch-size", type=_positive, default=2048, help="passages encoded at a time")
    add("--download-only", action="store_true", help="fetch and check the files, and stop")
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
