"""`rdr-qdrant ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.messages import say, saying_rejects
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.results import print_facts, print_json
from rdr_qdrant.errors import UsageError

EXAMPLE = "rdr-qdrant ingest passages.tsv -c wiki --url http://localhost:6333"
EXIT_REJECTS = 3


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help=".tsv .csv .jsonl .parquet (each also .gz), or - for JSON Lines from stdin.",
            show_default=False,
        ),
    ],
    collection: options.CollectionOption,
    split: Annotated[
        int | None,
        typer.Option(min=1, metavar="WORDS", help="Cut texts into passages of that many words."),
    ] = None,
    id_prefix: Annotated[
        str, typer.Option(metavar="P", help="Put before each id.", show_default=False)
    ] = "",
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write rows that were set aside here, as JSON Lines."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passages looked up and written at a time.")
    ] = 256,
    index: Annotated[
        bool,
        typer.Option("--index/--no-index", help="Build an embedded collection's index afterwards."),
    ] = True,
    as_json: options.JSONOption = False,
    url: options.URLOption = None,
    path: options.PathOption = None,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    revision: options.RevisionOption = None,
    max_length: options.MaxLengthOption = options.DEFAULT_TOKENS,
    device: options.DeviceOption = "auto",
    allow_unverified: options.UnverifiedOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Encode passages and load them into a collection.

    What is already there and unchanged is not encoded again, so that the same command goes on where
    it was interrupted.
    """
    from rdr_qdrant.loader import QdrantLoader, fraction_read
    from rdr_qdrant.readers import RejectLog, open_source, same_file

    opened = [open_source(source) for source in sources]
    if rejects and any(same_file(rejects, source) for source in sources):
        raise UsageError(f"--rejects {rejects} is a source: it would be overwritten. Name another.")
    client = options.open_client(url, path)
    embeddings = options.open_embeddings(
        client,
        collection,
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        revision=revision,
        max_length=max_length,
        device=device,
    )
    say(f"Loading {', '.join(sources)} into {collection!r} with {embeddings.pair.label}.")
    with (
        RejectLog(rejects) as log,
        saying_rejects(log),
        showing_progress("passages", lambda: fraction_read(opened)) as update,
    ):
        loader = QdrantLoader(
            embeddings=embeddings,
            client=client,
            collection_name=collection,
            batch_size=batch_size,
            allow_unverified=allow_unverified,
            on_reject=log,
            on_progress=lambda report: update(report.read),
            index=index,
            on_indexing=lambda seconds: update.doing(f"building the index, {duration(seconds)}"),
        )
        report = loader.load_sources(opened, split=split, id_prefix=id_prefix)
    client.close()
    if report.truncated:
        say(
            f"Cut: {report.truncated:,} passages were longer than {max_length} tokens; only their "
            "beginning is searchable. --split 100 keeps all of it."
        )
    if as_json:
        print_json(report.to_json())
    else:
        rate = report.read / report.seconds if report.seconds else 0.0
        facts = {
            "collection": f"{collection} ({report.points:,} points)",
            "read": f"{report.read:,} in {duration(report.seconds)} ({rate:,.1f}/s)",
            "uploaded": f"{report.uploaded:,}",
            "updated": f"{report.updated:,} (metadata only)",
            "unchanged": f"{report.unchanged:,}",
            "rejected": f"{report.rejected:,}",
            "truncated": f"{report.truncated:,}",
        }
        print_facts(facts)
    return EXIT_REJECTS if log.total else 0
