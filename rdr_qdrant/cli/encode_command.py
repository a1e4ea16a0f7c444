"""`rdr-qdrant encode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.graceful_shutdown import stop_on_signal
from rdr_qdrant.cli.path_arguments import parse_path
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.source_arguments import check_rejects_file, refuse_encoded
from rdr_qdrant.cli.stderr import pluralize, print_message, rejects_reported
from rdr_qdrant.cli.stdout import print_fields, print_json
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.export import EncodeReport

EXAMPLE = "rdr-qdrant encode passages.tsv -o shards"
SHARD_SIZE = 16_384


def encode(
    sources: options.SourcesArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            parser=parse_path,
            metavar="DIR",
            help="Folder to write.",
            show_default=False,
        ),
    ],
    *,
    shard_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passages per file.")
    ] = SHARD_SIZE,
    float16: Annotated[
        bool, typer.Option("--float16", help="Halve the size of the vectors; keeps 11 bits.")
    ] = False,
    quoting: options.QuotingOption = "csv",
    rejects: options.RejectsOption = None,
    strict: options.StrictOption = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Passages per batch. Default: 256 on a CPU, 4096 on a GPU.",
            show_default=False,
            hidden=True,
        ),
    ] = None,
    as_json: options.JSONOption = False,
    splitting: options.SplitOptions,
    encoders: options.EncoderOptions,
) -> int:
    """Encode passages into a folder of Parquet files, to be loaded elsewhere.

    rdr-qdrant ingest DIR loads them without a model or a GPU. The same command resumes an
    interrupted run: the sources are read again, but nothing is encoded twice. A missing or corrupt
    file is encoded again.
    """
    from rdr_qdrant.export import ShardEncoder
    from rdr_qdrant.readers import RejectLog, fraction_read, open_source

    refuse_encoded(sources)
    opened = [open_source(source, quoting=quoting) for source in sources]
    check_rejects_file(rejects, opened)
    if rejects and rejects.resolve().parent == output.resolve():
        raise UsageError(f"--rejects {rejects} is in {output}, which is for encoded files only.")
    split = splitting.settings(opened)
    embeddings = encoders.embeddings()
    print_message(f"Encoding {', '.join(sources)} into {output} with {embeddings.pair.label}.")
    with (
        RejectLog(rejects, strict=strict) as log,
        rejects_reported(log),
        progress_shown("passages", lambda: fraction_read(opened)) as progress,
    ):
        encoder = ShardEncoder(
            embeddings=embeddings,
            folder=output,
            shard_size=shard_size,
            vectors="float16" if float16 else "float32",
            batch_size=batch_size,
            on_reject=log,
            on_progress=lambda report: progress(
                report.read, waiting=report.in_hand, skipped=report.kept
            ),
        )
        with stop_on_signal(encoder):
            report = encoder.encode_sources(opened, split=split)
    if report.truncated:
        print_message(
            f"Truncated: {pluralize(report.truncated, 'passages')} longer than "
            f"{encoders.max_length} tokens; only the beginning is searchable. --split 120 "
            "into another folder keeps all of it."
        )
    if as_json:
        print_json(report.to_json())
    else:
        print_fields(_summary_fields(report))
    if report.interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.REJECTED if log.total else ExitStatus.DONE


def _summary_fields(report: EncodeReport) -> dict[str, str]:
    rate = report.encoded / report.seconds if report.seconds else 0.0
    return {
        "folder": f"{report.folder} ({pluralize(report.passages, 'passages')} in "
        f"{pluralize(report.shards, 'shards')}, "
        f"{report.bytes / 2**20:,.1f} MiB)",
        "read": f"{report.read:,} in {duration(report.seconds)}",
        "encoded": f"{report.encoded:,} ({rate:,.1f}/s)",
        "kept": f"{report.kept:,} (encoded before)",
        "repeated": f"{report.repeated:,}",
        "rejected": f"{report.rejected:,}",
        "truncated": f"{report.truncated:,}",
    }
