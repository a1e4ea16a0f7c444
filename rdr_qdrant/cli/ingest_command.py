"""`rdr-qdrant ingest`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.executor_options import (
    LOCAL,
    AddressOption,
    EngineOption,
    GPUsOption,
    Wanted,
    WorkersOption,
    check_engine,
    opened_engine,
)
from rdr_qdrant.cli.graceful_shutdown import EXIT_INTERRUPTED, finishing_first
from rdr_qdrant.cli.ingest_summary import facts_of, say_idle_indexes, say_remarks
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.source_arguments import open_sources
from rdr_qdrant.cli.stderr import counted, printable, say, saying_rejects
from rdr_qdrant.cli.stdout import print_facts, print_json
from rdr_qdrant.errors import StoreError, UsageError

if TYPE_CHECKING:
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.ingest import LoadReport, PassageEncoder

EXAMPLE = "rdr-qdrant ingest passages.tsv -c wiki --url http://localhost:6333"
EXIT_REJECTS = 3

_SYNC = "What is already there"
_NEW = "New collections"
_REINDEX = "Re-index without downtime"


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help=".tsv .csv .jsonl .parquet (each also .gz), or - for JSON Lines from stdin; a "
            "document (.txt .md .html .pdf .docx), or a folder of documents; or a folder that "
            "encode wrote.",
            show_default=False,
        ),
    ],
    collection: options.CollectionOption,
    split: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="WORDS",
            help="Cut texts into passages of that many words. Documents: 100 unless told.",
        ),
    ] = None,
    id_prefix: Annotated[
        str,
        typer.Option(
            metavar="P",
            help="Put before each id, so that files that number their rows alike do not collide.",
            show_default=False,
        ),
    ] = "",
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write rows that were set aside here, as JSON Lines."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")
    ] = False,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Passages looked up, and sorted by length, at a time."
        ),
    ] = 256,
    retry_for: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="How long to try again what a server cannot do for now."
        ),
    ] = 600.0,
    index: Annotated[
        bool,
        typer.Option("--index/--no-index", help="Build an embedded collection's index afterwards."),
    ] = True,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Afterwards remove points of these sources that the sources no longer have.",
            rich_help_panel=_SYNC,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing; say what would be encoded, updated and removed.",
            rich_help_panel=_SYNC,
        ),
    ] = False,
    recreate: Annotated[
        bool,
        typer.Option(
            "--recreate",
            help="Delete the collection first. Asks for its name again.",
            rich_help_panel=_SYNC,
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask at --recreate.", rich_help_panel=_SYNC)
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="small: vectors and graph in RAM, texts on disk. large: quantized vectors and "
            "graph in RAM, originals and texts on disk. disk: all on disk that can be.",
            rich_help_panel=_NEW,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="One of Qdrant's settings, instead of or over a preset's; may be given several "
            "times. shard_number, replication_factor, write_consistency_factor; datatype (float32, "
            "float16); vectors_memory, payload_memory, hnsw_memory, quantization_memory, "
            "payload_index_memory, id_tracker_memory (cold, cached, pinned); m, ef_construct, "
            "full_scan_threshold, max_indexing_threads, payload_m, inline_storage; quantization "
            "(none, scalar, binary, product, turbo) and its quantile, encoding, query_encoding, "
            "compression, bits; default_segment_number, max_segment_size, indexing_threshold.",
            rich_help_panel=_NEW,
        ),
    ] = None,
    payload_index: Annotated[
        list[str] | None,
        typer.Option(
            "--payload-index",
            metavar="KEY[:TYPE]",
            help="Index this metadata for --filter: keyword (default), integer, float, bool, "
            "datetime, uuid, text, geo. Made in a collection that exists, too.",
            rich_help_panel=_NEW,
        ),
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="This metadata tells whose a passage is: indexed, and stored together.",
            rich_help_panel=_NEW,
        ),
    ] = None,
    vector_name: options.VectorNameOption = "",
    bulk: Annotated[
        bool,
        typer.Option(
            "--bulk",
            help="Put a server's index building off to the end of the load, and wait for it. For "
            "large loads that nobody searches meanwhile.",
        ),
    ] = False,
    swap_alias: Annotated[
        bool,
        typer.Option(
            "--swap-alias",
            help="The collection named is an alias: load into a new collection, and put the alias "
            "on it when all is there, verified and indexed.",
            rich_help_panel=_REINDEX,
        ),
    ] = False,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old",
            help="Then delete the collection that the alias stood for before.",
            rich_help_panel=_REINDEX,
        ),
    ] = False,
    as_json: options.JSONOption = False,
    url: options.URLOption = None,
    path: options.PathOption = None,
    api_key_file: options.APIKeyFileOption = None,
    allow_key_over_http: options.AllowKeyOverHTTPOption = None,
    grpc_port: options.GRPCPortOption = None,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    revision: options.RevisionOption = None,
    max_length: options.MaxLengthOption = options.DEFAULT_TOKENS,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    allow_unverified: options.UnverifiedOption = False,
    engine: EngineOption = LOCAL,
    address: AddressOption = None,
    gpus: GPUsOption = None,
    workers: WorkersOption = None,
    debug: options.DebugOption = False,
) -> int:
    """Encode passages and load them into a collection.

    What is already there and unchanged is not encoded again, so that the same command goes on where
    it was interrupted. At the end every point of the load is looked for, and some are read back.

    Of a folder and the folders in it, the documents are read. Files of other kinds (rows too: name
    those themselves) and symbolic links are counted and shown; hidden ones are left out. A document
    that did not change is not converted again; one that cannot be read is set aside and named.

    Of a folder that rdr-qdrant encode wrote, the vectors are taken as they are: no model is loaded.
    """
    from rdr_qdrant.client import capabilities
    from rdr_qdrant.collection import Collection, CollectionSettings
    from rdr_qdrant.ingest import LoadReport, QdrantLoader, fraction_read
    from rdr_qdrant.readers import RejectLog

    layout = CollectionSettings.from_options(preset, settings or (), payload_index or (), tenant)
    given = open_sources(
        sources,
        {
            "--split": split,
            "--model": model,
            "--context-encoder": context_encoder,
            "--question-encoder": question_encoder,
            "--revision": revision,
            "--max-length": max_length != options.DEFAULT_TOKENS,
            "--device": device != "auto",
            "--precision": precision != "auto",
        },
    )
    opened = given.sources
    if rejects and any(source.includes_file(rejects) for source in opened):
        raise UsageError(f"--rejects {rejects} is a source: it would be overwritten. Name another.")
    wanted = Wanted(engine, address, gpus, workers)
    check_engine(wanted, url=url, path=path, encoded=given.vectors is not None)
    if recreate and not (yes or dry_run):
        _confirm_recreate(collection)
    client = options.open_client(url, path, api_key_file, allow_key_over_http, grpc_port)
    if bulk and not capabilities(client).indexes_in_background:
        say("--bulk is for servers: the index of a folder is built after the load in any case.")
    here: RDREmbeddings | None = None
    encoder: PassageEncoder
    if given.vectors:
        encoder, pair = given.vectors, given.vectors.identity().name
        max_length = given.vectors.identity().max_length
    else:
        encoder = here = options.open_embeddings(
            client,
            collection,
            model=model,
            context_encoder=context_encoder,
            question_encoder=question_encoder,
            revision=revision,
            max_length=max_length,
            device=device,
            precision=precision,
        )
        pair = here.pair.label
    what = "Looking what would be done to load" if dry_run else "Loading"
    where = f"a new collection behind the alias {collection!r}" if swap_alias else repr(collection)
    say(f"{what} {', '.join(sources)} into {where} with {pair}.")
    so_far = LoadReport(collection)
    with (
        opened_engine(
            wanted,
            here,
            url=url,
            api_key_file=api_key_file,
            allow_key_over_http=allow_key_over_http,
        ) as elsewhere,
        RejectLog(rejects, strict=strict) as log,
        saying_rejects(log),
        showing_progress("passages", lambda: fraction_read(opened)) as update,
    ):

        def on_progress(report: LoadReport) -> None:
            nonlocal so_far
            so_far = report
            update(report.read, waiting=report.in_hand, skipped=report.unchanged)

        loader = QdrantLoader(
            embeddings=elsewhere.embeddings if elsewhere else encoder,
            engine=elsewhere,
            client=client,
            collection_name=collection,
            batch_size=batch_size,
            vector_name=vector_name,
            allow_unverified=allow_unverified,
            recreate=recreate,
            dry_run=dry_run,
            retry_for=retry_for,
            on_reject=log,
            on_progress=on_progress,
            on_retry=lambda why, seconds: update.doing(
                f"{so_far.read:,} passages; Qdrant: {why}, trying again in {seconds:.1f} s"
            ),
            index=index,
            on_indexing=lambda seconds: update.doing(f"building the index, {duration(seconds)}"),
            collection_settings=layout,
            bulk=bulk,
            swap_alias=swap_alias,
            drop_old=drop_old,
            on_server_indexing=lambda indexed, total: update.waiting(
                f"waiting for the index, {indexed:,} of {total:,} vectors"
            ),
        )
        try:
            with finishing_first(loader):
                report = loader.load_sources(opened, split=split, id_prefix=id_prefix, prune=prune)
        except StoreError:
            if so_far.read:
                done = counted(so_far.read, "passages")
                say(f"Done and kept: {done}; the same command goes on.")
            raise
    if prune and report.removed is None and not report.interrupted:
        say("Nothing was pruned: rows were set aside, and which points are theirs is not known.")
    if report.removed is not None and report.documents and report.documents.rejected:
        say("Of documents that were set aside, what the collection has of them is kept.")
    say_remarks(
        report,
        max_length,
        split,
        encoded_before=given.vectors is not None,
        half_floats=given.half_floats,
    )
    if layout and report.points:
        say_idle_indexes(Collection(client, report.collection_name), layout)
    if as_json:
        print_json(report.to_json())
    else:
        print_facts(facts_of(report))
    if report.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_REJECTS if log.total else 0


def _confirm_recreate(collection: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"--recreate deletes the collection {collection!r}; nobody can be asked here. "
            "Say --yes as well if that is meant."
        )
    question = f"--recreate deletes the collection {printable(collection)}. Its name again"
    if typer.prompt(question, err=True, default="", show_default=False) != collection:
        raise UsageError("That is not its name: nothing was done.")
