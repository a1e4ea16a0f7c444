"""`rdr-qdrant encode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.graceful_shutdown import EXIT_INTERRUPTED, finishing_first
from rdr_qdrant.cli.ingest_command import EXIT_REJECTS
from rdr_qdrant.cli.progress import duration, showing_progress
from rdr_qdrant.cli.stderr import counted, say, saying_rejects
from rdr_qdrant.cli.stdout import print_facts, print_json
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.export import EncodeReport

EXAMPLE = "rdr-qdrant encode passages.tsv -o shards"
SHARD_SIZE = 16_384


def encode(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="As for ingest: files of passages, - for JSON Lines from stdin, documents or a "
            "folder of documents.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder to write.", show_default=False
        ),
    ],
    shard_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passages of a shard, which is one file.")
    ] = SHARD_SIZE,
    float16: Annotated[
        bool,
        typer.Option("--float16", help="Vectors of half the size, rounded to 11 bits."),
    ] = False,
    split: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="WORDS",
            help="Cut texts into passages of that many words. Documents: 100 unless told.",
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write rows that were set aside here, as JSON Lines."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passages encoded at a time.")
    ] = 256,
    as_json: options.JSONOption = False,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    revision: options.RevisionOption = None,
    max_length: options.MaxLengthOption = options.DEFAULT_TOKENS,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    debug: options.DebugOption = False,
) -> int:
    """Encode passages into a folder of Parquet files, to be loaded elsewhere.

    rdr-qdrant ingest DIR loads them where neither a model nor a GPU is. The same command goes on
    where it was interrupted or killed: the sources are read again, but what was encoded is not
    encoded again. A shard that is missing or damaged is made anew.
    """
    from rdr_qdrant.export import ShardEncoder, is_shard_folder
    from rdr_qdrant.ingest import fraction_read
    from rdr_qdrant.readers import RejectLog, open_source

    if encoded := [source for source in sources if is_shard_folder(source)]:
        raise UsageError(f"{encoded[0]} is encoded already: rdr-qdrant ingest {encoded[0]} -c NAME")
    opened = [open_source(source) for source in sources]
    if rejects and any(source.includes_file(rejects) for source in opened):
        raise UsageError(f"--rejects {rejects} is a source: it would be overwritten. Name another.")
    if rejects and rejects.resolve().parent == output.resolve():
        raise UsageError(f"--rejects {rejects} lies in {output}, which is for shards alone.")
    embeddings = options.make_embeddings(
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        revision=revision,
        max_length=max_length,
        device=device,
        precision=precision,
    )
    say(f"Encoding {', '.join(sources)} into {output} with {embeddings.pair.label}.")
    with (
        RejectLog(rejects, strict=strict) as log,
        saying_rejects(log),
        showing_progress("passages", lambda: fraction_read(opened)) as update,
    ):

        def on_progress(report: EncodeReport) -> None:
            update(report.read, waiting=report.in_hand, skipped=report.kept)

        encoder = ShardEncoder(
            embeddings=embeddings,
            folder=output,
            shard_size=shard_size,
            vectors="float16" if float16 else "float32",
            batch_size=batch_size,
            on_reject=log,
            on_progress=on_progress,
        )
        with finishing_first(encoder):
            report = encoder.encode_sources(opened, split=split)
    if report.truncated:
        say(
            f"Cut: {report.truncated:,} passages were longer than {max_length} tokens; only their "
            "beginning is searchable. --split 100 (or fewer words) into another folder keeps all."
        )
    if as_json:
        print_json(report.to_json())
    else:
        print_facts(_facts(report))
    if report.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_REJECTS if log.total else 0


def _facts(report: EncodeReport) -> dict[str, str]:
    rate = report.encoded / report.seconds if report.seconds else 0.0
    unfinished = f"; {report.unfinished:,} in an unfinished one" if report.unfinished else ""
    return {
        "folder": f"{report.folder} ({counted(report.passages, 'passages')} in "
        f"{counted(report.shards, 'shards')}, "
        f"{report.bytes / 2**20:,.1f} MiB{unfinished})",
        "read": f"{report.read:,} in {duration(report.seconds)}",
        "encoded": f"{report.encoded:,} ({rate:,.1f}/s)",
        "kept": f"{report.kept:,} (encoded before)",
        "repeated": f"{report.repeated:,}",
        "rejected": f"{report.rejected:,}",
        "truncated": f"{report.truncated:,}",
    }
