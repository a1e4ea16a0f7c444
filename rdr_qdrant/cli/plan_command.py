"""`rdr-qdrant plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from rdr_qdrant import planning
from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.exit_status import ExitStatus
from rdr_qdrant.cli.path_arguments import parse_source
from rdr_qdrant.cli.progress import duration, progress_shown
from rdr_qdrant.cli.source_arguments import refuse_encoded
from rdr_qdrant.cli.stderr import rejects_reported
from rdr_qdrant.cli.stdout import print_json, print_table
from rdr_qdrant.errors import UsageError
from rdr_qdrant.planning import Plan, PlanInputs, Quantity, format_bytes, plan

EXAMPLE = "rdr-qdrant plan --passages 21M --preset large --gpu h100"


def _number(help: str, metavar: str = "N") -> Any:
    return typer.Option(min=1, metavar=metavar, help=help)


def _rate(help: str) -> Any:
    return typer.Option(min=0.001, max=1e12, metavar="RATE", help=help)


def plan_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            parser=parse_source,
            metavar="[SOURCE]...",
            help="Read and split these, as ingest would, instead of --passages and --text-bytes.",
            show_default=False,
        ),
    ] = None,
    *,
    passages: Annotated[
        int | None,
        typer.Option(
            parser=options.parse_count,
            metavar="N",
            help="Number of passages: 300k, 21M, ... Default: those of Wikipedia.",
        ),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Plan this preset of ingest: small, large or disk. May be repeated; the first is "
            "summarized. Default: all presets and quantizations.",
        ),
    ] = None,
    dimension: Annotated[int, _number("Numbers of a vector.")] = planning.DIMENSION,
    text_bytes: Annotated[int | None, _number("Mean size of a passage's text.", "BYTES")] = None,
    bm25: Annotated[
        bool, typer.Option("--bm25", help="With sparse vectors of the words, as ingest --bm25.")
    ] = False,
    replicas: Annotated[int, _number("Copies of every point.", "R")] = 1,
    servers: Annotated[int, _number("Qdrant servers that share the collection.", "S")] = 1,
    cores: Annotated[int, _number("Cores of each server that build the index.")] = 8,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Estimate encoding on this GPU: {', '.join(planning.GPUS)}. May be repeated; the "
            "first is summarized. Default: all.",
        ),
    ] = None,
    devices: Annotated[int, _number("Number of GPUs that encode at once.")] = 1,
    encode_rate: Annotated[
        float | None, _rate("Passages/s of one device that rdr-qdrant bench measured.")
    ] = None,
    index_rate: Annotated[float | None, _rate("Points/s that one core indexed.")] = None,
    splitting: options.SplitOptions,
    as_json: options.JSONOption = False,
) -> int:
    """Estimate RAM, disk and time for a corpus, before you rent hardware.

    Sizes come from Qdrant's file formats, times from published or measured speeds. Figures that
    rest on an assumption are marked as estimates; the rates you measured replace them.
    """
    from rdr_qdrant.collection import PRESETS

    rejected = 0
    if sources:
        if passages or text_bytes:
            raise UsageError("Sources are counted: leave out --passages and --text-bytes.")
        passages, text_bytes, rejected = _measure(sources, splitting)
    else:
        given = options.explicitly_set(splitting)
        options.refuse(given, "has no effect without a SOURCE: name one, or leave it out.")
    found = plan(
        PlanInputs(
            passages=passages or planning.WIKIPEDIA_PASSAGES,
            dimension=dimension,
            text_bytes=text_bytes or planning.TEXT_BYTES,
            presets=tuple(preset or PRESETS),
            quantizations=() if preset else tuple(planning.QUANTIZATIONS),
            bm25=bm25,
            replicas=replicas,
            servers=servers,
            cores=cores,
            gpus=tuple(gpu or planning.GPUS),
            devices=devices,
            encode_rate=encode_rate,
            index_rate=index_rate,
        )
    )
    if as_json:
        figures = asdict(found)
        print_json({"needs": figures.pop("inputs"), **figures, "rejected": rejected})
    else:
        _print_plan(found)
    return ExitStatus.REJECTED if rejected else ExitStatus.DONE


def _measure(sources: Sequence[str], splitting: options.SplitOptions) -> tuple[int, int, int]:
    """Passages of these sources, the mean bytes of their texts, and the rows rejected."""
    from rdr_qdrant.ingest.split_preview import measure_texts
    from rdr_qdrant.readers import RejectLog, fraction_read, open_source

    refuse_encoded(sources)
    opened = [open_source(source) for source in sources]
    with (
        RejectLog() as log,
        rejects_reported(log),
        progress_shown("passages", lambda: fraction_read(opened)),
    ):
        count, size = measure_texts(opened, splitting.settings(opened), log)
    return count, size, log.total


def _print_plan(found: Plan) -> None:
    """Print a summary line, the layouts, the parts of one copy, and the times."""
    inputs, first = found.inputs, found.layouts[0]
    labels = [
        f"preset {one.name}" if one.name in inputs.presets else one.name for one in found.layouts
    ]
    encoder = found.encoding[0].name.removeprefix("encoding, ")
    speed = f"at {inputs.encode_rate:,.1f} passages/s" if inputs.encode_rate else f"on {encoder}"
    print(
        f"{inputs.passages:,} passages ({labels[0]}): {format_bytes(first.ram)} RAM, "
        f"{format_bytes(first.disk)} disk, {format_bytes(first.disk_peak)} at the peak, "
        f"about {duration(found.ingest.value)} {speed}.\n"
    )
    header = ("layout", "RAM", "disk", "peak", "index", "in RAM")
    rows = [
        (
            label,
            *map(format_bytes, (layout.ram, layout.disk, layout.disk_peak)),
            duration(layout.index.value),
            ", ".join(layout.in_ram),
        )
        for label, layout in zip(labels, found.layouts, strict=True)
    ]
    print_table(header, rows, numbers=header[1:5])
    _print_quantities("one copy", "size", found.parts, format_bytes)
    times = (*found.encoding, found.upload, found.index, found.ingest)
    _print_quantities("step", "time", times, duration)
    print("\nRAM: the parts named, and the process. peak: while the index is built. ~: estimate.")


def _print_quantities(
    title: str, header: str, rows: Sequence[Quantity], format_value: Callable[[float], str]
) -> None:
    print()
    cells = [
        (row.name, f"{'~' if row.estimate else ''}{format_value(row.value)}", row.arithmetic)
        for row in rows
    ]
    print_table((title, header, "arithmetic"), cells, numbers=[header])
