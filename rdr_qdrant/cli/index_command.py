"""`rdr-qdrant index`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.stderr import pluralize, print_message
from rdr_qdrant.cli.stdout import print_fields, print_json
from rdr_qdrant.errors import UsageError

EXAMPLE = "rdr-qdrant index -c wiki --bm25"


def index(
    collection: options.CollectionOption,
    *,
    bm25: Annotated[
        bool,
        typer.Option(
            "--bm25", help="Give each point that lacks it a sparse vector of its title and text."
        ),
    ] = False,
    language: options.LanguageOption = None,
    drop_bm25: Annotated[
        bool, typer.Option("--drop-bm25", help="Take the sparse vectors away.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the points that lack it, and write nothing.")
    ] = False,
    as_json: options.JSONOption = False,
    qdrant: options.QdrantOptions,
) -> None:
    """Add BM25 to a collection that exists, for the modes bm25 and hybrid. Nothing is encoded.

    Dense vectors and texts stay as they are, and later loads keep it up to date. A run that was
    interrupted is resumed by the same command. Needs Qdrant 1.18 or a folder.
    """
    if bm25 == drop_bm25:
        raise UsageError("Give one of --bm25 and --drop-bm25.")
    if drop_bm25 and (language or dry_run):
        raise UsageError("--language and --dry-run belong to --bm25: leave them out.")
    from rdr_qdrant.client import RETRY_FOR_SECONDS, RetryPolicy
    from rdr_qdrant.collection import Collection

    with (
        closing(qdrant.connect()) as client,
        progress_shown("points") as progress,
    ):
        retry = RetryPolicy(RETRY_FOR_SECONDS, progress.show_retry)
        target = Collection(client, collection, retry=retry)
        target.check_ours("changed")
        if drop_bm25:
            dropped = target.bm25.drop()
        else:
            report = target.bm25.add(language, dry_run=dry_run, on_progress=progress)
    if drop_bm25:
        if as_json:
            print_json({"collection": collection, "dropped": dropped})
        elif dropped:
            print_message(f"Collection {collection!r} has no BM25 any more.")
        else:
            print_message(f"Collection {collection!r} had no BM25.")
        return
    if as_json:
        print_json(report.to_json())
        return
    done = "would get it" if dry_run else "got it"
    print_fields(
        {
            "collection": collection,
            "BM25": f"{report.language}, {pluralize(report.indexed, 'points')} {done}, "
            f"{report.points:,} in all",
            **({"without words": f"{report.without_words:,}"} if report.without_words else {}),
            "time": duration(report.seconds),
        }
    )
