"""`rdr-qdrant copy`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.path_arguments import parse_qdrant_place
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.stderr import pluralize, print_message
from rdr_qdrant.cli.stdout import print_fields, print_json

EXAMPLE = "rdr-qdrant copy --from ./qdrant_data --to http://localhost:6333 -c wiki"


def copy(
    collection: options.CollectionOption,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            parser=parse_qdrant_place,
            metavar="PATH-or-URL",
            help="Source.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to",
            parser=parse_qdrant_place,
            metavar="PATH-or-URL",
            help="Target.",
            show_default=False,
        ),
    ],
    index: options.IndexOption = True,
    as_json: options.JSONOption = False,
    api_key_file: options.APIKeyFileOption = None,
    allow_key_over_http: options.AllowKeyOverHTTPOption = None,
) -> None:
    """Copy a collection between folders and servers, in either direction.

    Copies vectors, payload, metadata and settings as they are: nothing is encoded again. The same
    command resumes an interrupted copy. Points that only the target has are kept and counted. The
    source may be a folder of the Qdrant client's local mode.
    """
    from rdr_qdrant.client import connect_source_and_target, is_url
    from rdr_qdrant.collection import copy_collection

    reader, writer = connect_source_and_target(
        source,
        target,
        api_key=options.read_api_key(api_key_file),
        allow_key_over_http=allow_key_over_http,
    )
    print_message(f"Copying {collection!r} from {source} to {target}.")
    with closing(reader), closing(writer), progress_shown("points") as progress:
        report = copy_collection(
            reader,
            writer,
            collection,
            progress=progress,
            index=index,
            on_retry=progress.show_retry,
            on_indexing=lambda seconds: progress.show(f"building the index, {duration(seconds)}"),
        )
    if report.extra:
        where = f"{'--url' if is_url(target) else '--path'} {target}"
        print_message(
            f"The target has {pluralize(report.extra, 'more points')} than the source: the source "
            "lost them, or others wrote them. They are kept, and searches find them. For an equal "
            f"copy, name another target, or run rdr-qdrant delete -c {collection} --all {where} "
            "and copy again."
        )
    elif report.extra is None:
        print_message(
            "Whether the target has points that the source has not is unknown: strict mode takes "
            "no exact count."
        )
    if as_json:
        print_json(asdict(report) | {"seconds": round(report.seconds, 3)})
        return
    values = {
        "collection": f"{collection} ({pluralize(report.points, 'points')})",
        "copied": f"{report.copied:,} in {duration(report.seconds)}",
        "unchanged": f"{report.unchanged:,}",
        "verified": f"{report.verified:,} read back from both sides and equal",
    }
    if report.extra:
        values["extra"] = f"{report.extra:,} (only in the target)"
    print_fields(values)
