"""`rdr-qdrant delete`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.confirmation import confirm_by_name
from rdr_qdrant.cli.path_arguments import parse_name, parse_source
from rdr_qdrant.cli.progress import progress_shown
from rdr_qdrant.cli.stderr import pluralize, print_message
from rdr_qdrant.cli.stdout import print_fields, print_json
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.collection.deletion import PointSelection

EXAMPLE = "rdr-qdrant delete -c wiki --source old.tsv --dry-run"


def delete(
    collection: options.CollectionOption,
    *,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            parser=parse_name,
            metavar="ID",
            help="Passage with this id. May be repeated.",
        ),
    ] = None,
    conditions: options.FilterOption = None,
    source: Annotated[
        str | None,
        typer.Option(
            parser=parse_source,
            metavar="NAME",
            help="Passages of this source, named as in their metadata (the path given to ingest).",
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Every passage; the collection stays. Asks for its name to confirm."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be deleted, and delete nothing.")
    ] = False,
    allow_unverified: options.UnverifiedOption = False,
    as_json: options.JSONOption = False,
    qdrant: options.QdrantOptions,
) -> None:
    """Delete passages from a collection, by id, by metadata or by source.

    Give one of --id, --filter, --source and --all. The collection and its settings stay. Deletes
    only from a collection that rdr-qdrant made, unless --allow-unverified.
    """
    selection = _selection(ids, conditions, source, every=every)
    if every and not (yes or dry_run):
        confirm_by_name(collection, f"--all deletes every passage of the collection {collection!r}")
    from rdr_qdrant.client import RETRY_FOR_SECONDS, RetryPolicy
    from rdr_qdrant.collection import Collection
    from rdr_qdrant.collection.deletion import delete_points

    with (
        closing(qdrant.connect()) as client,
        progress_shown("points") as progress,
    ):
        retry = RetryPolicy(RETRY_FOR_SECONDS, progress.show_retry)
        deleted = delete_points(
            client,
            collection,
            selection,
            allow_unverified=allow_unverified,
            dry_run=dry_run,
            retry=retry,
            on_progress=progress,
        )
        found = Collection(client, collection, retry=retry)
        left = found.points.count()
        about = "" if found.points.counts_exactly else "about "
        unknown = None if deleted else found.explain_no_results(selection.metadata)
    missing = len(set(ids)) - deleted if ids else 0
    if missing:
        print_message(f"Not found: {pluralize(missing, 'ids')}.")
    elif source is not None and not deleted:
        print_message(
            f"No passage has the source {source!r}. Name it as it was given to ingest "
            "(search --json shows it)."
        )
    elif conditions and not deleted:
        print_message(unknown or "No passage matches the filter.")
    if as_json:
        values: dict[str, Any] = {"collection": collection, "deleted": deleted, "points": left}
        if about:
            values["points_approximate"] = True
        print_json(values | {"dry_run": dry_run, **({"missing": missing} if ids else {})})
        return
    verb = "to delete" if dry_run else "deleted"
    print_fields(
        {
            "collection": f"{collection} ({about}{pluralize(left, 'points')})",
            verb: f"{deleted:,}" + (" (nothing was deleted: a dry run)" if dry_run else ""),
        }
    )


def _selection(
    ids: list[str] | None, conditions: list[str] | None, source: str | None, *, every: bool
) -> PointSelection:
    from rdr_qdrant.collection.deletion import PointSelection

    given = {"--id": ids, "--filter": conditions, "--source": source is not None, "--all": every}
    if len(chosen := [option for option, value in given.items() if value]) != 1:
        found = " and ".join(chosen) or "none"
        raise UsageError(f"Give one of {', '.join(given)}, not {found}.")
    if source is not None:
        # ingest records a path without "./" and the like; a name may be anything.
        return PointSelection(metadata={"source": [source, str(Path(source))]})
    for condition in conditions or ():
        key, equals, value = condition.partition("=")
        if key and equals and not value:
            raise UsageError(
                f"--filter {condition!r}: the value is empty; is a variable unset? Passages whose "
                "value is empty are deleted by --id."
            )
    return PointSelection(
        passage_ids=ids or None,
        metadata=options.parse_filters(conditions),
    )
