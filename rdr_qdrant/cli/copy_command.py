"""`rdr-qdrant copy`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.stderr import counted, say
from rdr_qdrant.cli.stdout import print_facts, print_json

EXAMPLE = "rdr-qdrant copy --from ./qdrant_data --to http://localhost:6333 -c wiki"


def copy(
    collection: options.CollectionOption,
    source: Annotated[
        str, typer.Option("--from", metavar="PATH-or-URL", help="Where it is.", show_default=False)
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="PATH-or-URL", help="Where it goes.", show_default=False)
    ],
    index: Annotated[
        bool,
        typer.Option("--index/--no-index", help="Build an embedded target's index afterwards."),
    ] = True,
    as_json: options.JSONOption = False,
    api_key_file: options.APIKeyFileOption = None,
    allow_key_over_http: options.AllowKeyOverHTTPOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Copy a collection between folders and servers, in either direction.

    Vectors, payload, metadata and settings, as they are: nothing is encoded again. Run again it
    goes on where it was interrupted. A folder of the Qdrant client's local mode can be the source.
    """
    from rdr_qdrant.client import connect_source_and_target, read_key_file
    from rdr_qdrant.collection import copy_collection

    reader, writer = connect_source_and_target(
        source,
        target,
        api_key=read_key_file(api_key_file) if api_key_file else None,
        allow_key_over_http=allow_key_over_http,
    )
    say(f"Copying {collection!r} from {source} to {target}.")
    done = total = 0
    with showing_progress("points", lambda: done / total if total else None) as update:

        def on_progress(copied: int, of: int) -> None:
            nonlocal done, total
            done, total = copied, of
            update(copied)

        report = copy_collection(
            reader,
            writer,
            collection,
            progress=on_progress,
            index=index,
            on_retry=lambda why, seconds: update.doing(
                f"{done:,} points; Qdrant: {why}, trying again in {seconds:.1f} s"
            ),
            on_indexing=lambda seconds: update.doing(f"building the index, {duration(seconds)}"),
        )
    reader.close()
    writer.close()
    if as_json:
        print_json(asdict(report) | {"seconds": round(report.seconds, 3)})
        return
    print_facts(
        {
            "collection": f"{collection} ({counted(report.points, 'points')})",
            "copied": f"{report.copied:,} in {duration(report.seconds)}",
            "unchanged": f"{report.unchanged:,}",
            "verified": f"{report.verified:,} read back from both sides and equal",
        }
    )
