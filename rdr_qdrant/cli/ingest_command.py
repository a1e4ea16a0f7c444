"""`rdr-qdrant ingest`."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.confirmation import confirm_by_name
from rdr_qdrant.cli.executor_options import ExecutorOptions
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.graceful_shutdown import stop_on_signal
from rdr_qdrant.cli.ingest_summary import print_idle_indexes, print_remarks, summary_fields
from rdr_qdrant.cli.path_arguments import parse_name
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.source_arguments import check_rejects_file, open_sources
from rdr_qdrant.cli.stderr import (
    pluralize,
    print_message,
    rejects_reported,
)
from rdr_qdrant.cli.stdout import print_fields, print_json
from rdr_qdrant.errors import StoreError, UsageError

if TYPE_CHECKING:
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.ingest import PassageEncoder

EXAMPLE = "rdr-qdrant ingest passages.tsv -c wiki --url http://localhost:6333"

_sync = partial(typer.Option, rich_help_panel="Existing points")
_new = partial(typer.Option, rich_help_panel="New collections")
_alias = partial(typer.Option, rich_help_panel="Re-index without downtime")


def ingest(
    sources: options.IngestSourcesArgument,
    collection: options.CollectionOption,
    *,
    quoting: options.QuotingOption = "csv",
    id_prefix: Annotated[
        str | None,
        typer.Option(
            parser=parse_name,
            metavar="P",
            help="Prefix of each id, for files that number their rows alike.",
            show_default=False,
        ),
    ] = None,
    rejects: options.RejectsOption = None,
    strict: options.StrictOption = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Passages per batch: looked up, sorted by length and encoded together. Default: "
            "256 on a CPU, 4096 on a GPU.",
            show_default=False,
            hidden=True,
        ),
    ] = None,
    retry_for: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Retry transient server errors for up to this many seconds.",
            hidden=True,
        ),
    ] = 600.0,
    index: options.IndexOption = True,
    prune: Annotated[
        bool,
        _sync(
            "--prune", help="Afterwards remove points of these sources that are no longer in them."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        _sync(
            "--dry-run", help="Write nothing; report what would be encoded, updated and removed."
        ),
    ] = False,
    recreate: Annotated[
        bool, _sync("--recreate", help="Delete the collection first; asks for its name to confirm.")
    ] = False,
    yes: Annotated[bool, _sync("--yes", help="Do not ask for confirmation.", hidden=True)] = False,
    preset: Annotated[
        str | None,
        _new(
            parser=parse_name,
            metavar="NAME",
            help="small: vectors and graph in RAM, texts on disk. large: quantized vectors and "
            "graph in RAM, original vectors and texts on disk. disk: everything possible on disk.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        _new(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of Qdrant, overriding the preset; may be repeated. "
            "shard_number, replication_factor, write_consistency_factor; datatype (float32, "
            "float16); vectors_memory, payload_memory, hnsw_memory, quantization_memory, "
            "payload_index_memory, id_tracker_memory (cold, cached, pinned); m, ef_construct, "
            "full_scan_threshold, max_indexing_threads, payload_m, inline_storage; quantization "
            "(none, scalar, binary, product, turbo) and its quantile, encoding, query_encoding, "
            "compression, bits; default_segment_number, max_segment_size, indexing_threshold.",
        ),
    ] = None,
    bm25: Annotated[
        bool,
        _new(
            "--bm25",
            help="Give each point a sparse vector of its words too, for the modes bm25 and hybrid.",
        ),
    ] = False,
    language: options.LanguageOption = None,
    payload_index: Annotated[
        list[str] | None,
        _new(
            "--payload-index",
            metavar="KEY[:TYPE]",
            help="Create a payload index for --filter, also on an existing collection: keyword "
            "(default), integer, float, bool, datetime, uuid, text or geo. May be repeated.",
        ),
    ] = None,
    tenant: Annotated[
        str | None,
        _new(
            metavar="KEY",
            help="Metadata that names the tenant: indexed, and each tenant's points are stored "
            "together.",
            hidden=True,
        ),
    ] = None,
    vector_name: options.VectorNameOption = "",
    bulk: Annotated[
        bool,
        typer.Option(
            "--bulk",
            help="Disable indexing on the server during the load, then wait for it. For large "
            "loads into a collection that nobody searches meanwhile.",
        ),
    ] = False,
    swap_alias: Annotated[
        bool,
        _alias(
            "--swap-alias",
            help="Load into a new collection; once it is complete, verified and indexed, point the "
            "alias NAME to it.",
        ),
    ] = False,
    drop_old: Annotated[
        bool,
        _alias(
            "--drop-old",
            help="Then delete the collection that the alias pointed to before.",
            hidden=True,
        ),
    ] = False,
    allow_unverified: options.UnverifiedOption = False,
    allow_resplit: Annotated[
        bool,
        typer.Option(
            "--allow-resplit",
            help="Accept a collection whose texts were split in another way.",
            hidden=True,
        ),
    ] = False,
    as_json: options.JSONOption = False,
    splitting: options.SplitOptions,
    qdrant: options.QdrantOptions,
    encoders: options.EncoderOptions,
    executor: ExecutorOptions,
) -> int:
    """Encode passages and load them into a collection.

    Points that are up to date are skipped, so the same command resumes an interrupted load. At the
    end every point is looked up, and a sample is read back and compared.

    Reads the documents in a folder and its subfolders. Other files and symbolic links are counted
    and shown; hidden files are ignored. Unchanged documents are not converted again; a document
    that cannot be read is rejected and named. Files of passages must be named themselves.

    A folder that rdr-qdrant encode wrote brings its vectors: no model is loaded.
    """
    from rdr_qdrant.client import RetryPolicy, capabilities
    from rdr_qdrant.collection import Collection, CollectionSettings
    from rdr_qdrant.collection.bm25 import DEFAULT_LANGUAGE
    from rdr_qdrant.ingest import QdrantLoader
    from rdr_qdrant.readers import RejectLog, fraction_read

    if language and not bm25:
        raise UsageError("--language belongs to --bm25: add it, or leave --language out.")
    layout = CollectionSettings.from_options(
        preset,
        settings or (),
        payload_index or (),
        tenant,
        (language or DEFAULT_LANGUAGE) if bm25 else None,
    )
    encoding = [*options.explicitly_set(splitting), *options.explicitly_set(encoders)]
    opened = open_sources(sources, encoding, quoting)
    split = splitting.settings(opened.sources)
    check_rejects_file(rejects, opened.sources)
    executor.check(qdrant, encoded=opened.vectors is not None)
    if recreate and not (yes or dry_run):
        confirm_by_name(collection, f"--recreate deletes the collection {collection!r}")
    with closing(qdrant.connect()) as client:
        if bulk and not capabilities(client).indexes_in_background:
            print_message(
                "--bulk has no effect on a folder: its index is always built after the load."
            )
        embeddings: RDREmbeddings | None = None
        encoder: PassageEncoder
        if opened.vectors:
            encoder, pair = opened.vectors, opened.vectors.identity().name
            max_length = opened.vectors.identity().max_length
        else:
            encoder = embeddings = encoders.embeddings_for(client, collection)
            pair, max_length = embeddings.pair.label, encoders.max_length
        action = "Checking what would be done to load" if dry_run else "Loading"
        target = (
            f"a new collection for the alias {collection!r}" if swap_alias else f"{collection!r}"
        )
        print_message(f"{action} {', '.join(sources)} into {target} with {pair}.")
        with (
            executor.open(qdrant, embeddings) as ray,
            RejectLog(rejects, strict=strict) as log,
            rejects_reported(log),
            progress_shown("passages", lambda: fraction_read(opened.sources)) as progress,
        ):
            loader = QdrantLoader(
                embeddings=ray.embeddings if ray else encoder,
                executor=ray,
                client=client,
                collection_name=collection,
                batch_size=batch_size,
                vector_name=vector_name,
                allow_unverified=allow_unverified,
                allow_resplit=allow_resplit,
                recreate=recreate,
                dry_run=dry_run,
                retry_for=retry_for,
                on_reject=log,
                on_progress=lambda report: progress(
                    report.read, waiting=report.in_hand, skipped=report.unchanged
                ),
                on_retry=progress.show_retry,
                index=index,
                on_indexing=lambda seconds: progress.show(
                    f"building the index, {duration(seconds)}"
                ),
                collection_settings=layout,
                bulk=bulk,
                swap_alias=swap_alias,
                drop_old=drop_old,
                on_server_indexing=lambda indexed, total: progress.show_waiting(
                    f"waiting for the index, {indexed:,} of {total:,} vectors"
                ),
            )
            try:
                with stop_on_signal(loader):
                    report = loader.load_sources(
                        opened.sources, split=split, id_prefix=id_prefix or "", prune=prune
                    )
            except StoreError:
                if progress.done:
                    done = pluralize(progress.done, "passages")
                    print_message(f"Done and kept: {done}; run the same command to resume.")
                raise
        print_remarks(
            report,
            max_length=max_length,
            split_rows=split is not None,
            prune=prune,
            encoded=opened.vectors is not None,
            half_floats=opened.half_floats,
            rejected_upstream=opened.rejected_upstream,
        )
        if layout and report.points:
            retry = RetryPolicy(retry_for)
            print_idle_indexes(Collection(client, report.collection_name, retry=retry), layout)
    if as_json:
        print_json(report.to_json())
    else:
        print_fields(summary_fields(report))
    if report.interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.REJECTED if log.total or report.changed_sources else ExitStatus.DONE
