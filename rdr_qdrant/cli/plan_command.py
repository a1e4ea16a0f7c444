"""`rdr-qdrant plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from rdr_qdrant import planning
from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.stdout import print_fields, print_json, print_table
from rdr_qdrant.planning import Plan, PlanInputs, Quantity, format_bytes, plan

EXAMPLE = "rdr-qdrant plan --passages 21M --preset large --gpu h100"


def plan_command(
    passages: Annotated[
        int,
        typer.Option(
            parser=options.parse_count, metavar="N", help="Number of passages: 300k, 21M, ..."
        ),
    ] = planning.WIKIPEDIA_PASSAGES,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Plan this preset of ingest: small, large or disk. May be repeated; the first is "
            "summarized. Default: all presets and quantizations.",
        ),
    ] = None,
    quantization: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Plan this quantization: {', '.join(planning.QUANTIZATIONS)}. May be repeated.",
        ),
    ] = None,
    dimension: Annotated[
        int, typer.Option(metavar="N", help="Numbers of a vector.")
    ] = planning.DIMENSION,
    text_bytes: Annotated[
        int, typer.Option(metavar="BYTES", help="Mean size of a passage's text.")
    ] = planning.TEXT_BYTES,
    replicas: Annotated[int, typer.Option(metavar="R", help="Copies of every point.")] = 1,
    servers: Annotated[
        int, typer.Option(metavar="S", help="Qdrant servers that share the collection.")
    ] = 1,
    cores: Annotated[
        int, typer.Option(metavar="N", help="Cores of each server that build the index.")
    ] = 8,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Estimate encoding on this GPU: {', '.join(planning.GPUS)}. May be repeated; the "
            "first is summarized. Default: all.",
        ),
    ] = None,
    devices: Annotated[
        int, typer.Option(metavar="N", help="Number of GPUs that encode at once.")
    ] = 1,
    encode_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Measured passages a second of one device (see rdr-qdrant bench), instead of an "
            "estimate by GPU.",
        ),
    ] = None,
    upload_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Measured points a second of the upload.",
            show_default=f"{planning.UPLOAD_RATE:,.0f}",
        ),
    ] = None,
    index_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Measured points a second that one core indexes.",
            show_default=f"{planning.INDEX_RATE:,.0f}",
        ),
    ] = None,
    as_json: options.JSONOption = False,
) -> None:
    """Estimate RAM, disk and time for a corpus, before you rent hardware.

    Sizes come from Qdrant's file formats, times from published or measured speeds. Figures that
    rest on an assumption are marked as estimates; the rates you measured replace them.
    """
    from rdr_qdrant.collection import PRESETS

    everything = not (preset or quantization)
    found = plan(
        PlanInputs(
            passages=passages,
            dimension=dimension,
            text_bytes=text_bytes,
            presets=tuple(PRESETS if everything else preset or ()),
            quantizations=tuple(planning.QUANTIZATIONS if everything else quantization or ()),
            replicas=replicas,
            servers=servers,
            cores=cores,
            gpus=tuple(gpu or planning.GPUS),
            devices=devices,
            encode_rate=encode_rate,
            upload_rate=upload_rate,
            index_rate=index_rate,
        )
    )
    if as_json:
        figures = asdict(found)
        print_json({"needs": figures.pop("inputs"), **figures})
    else:
        print_plan(found)


def print_plan(found: Plan) -> None:
    """Print a summary line, the layouts, the parts of one copy, and the times."""
    inputs, layouts = found.inputs, (*found.presets, *found.quantizations)
    first, encoder = layouts[0], found.encoding[0].name.removeprefix("encoding, ")
    speed = f"at {inputs.encode_rate:,.1f} passages/s" if inputs.encode_rate else f"on {encoder}"
    print(
        f"{inputs.passages:,} passages ({'preset' if found.presets else 'quantization'} "
        f"{first.name}): {format_bytes(first.ram.value)} RAM, {format_bytes(first.disk.value)} "
        f"disk, {format_bytes(first.disk_peak.value)} at the peak, "
        f"about {duration(found.ingest.value)} {speed}.\n"
    )
    header = ("layout", "RAM", "RAM, vectors on disk", "disk", "peak", "index")
    rows = [
        (
            f"preset {layout.name}" if layout in found.presets else layout.name,
            format_bytes(layout.ram.value),
            format_bytes(layout.ram_without_vectors.value) if layout.ram_without_vectors else "-",
            format_bytes(layout.disk.value),
            format_bytes(layout.disk_peak.value),
            duration(layout.index.value),
        )
        for layout in layouts
    ]
    print_table(header, rows, numbers=header[1:])
    quantized = [
        replace(layout.quantized, name=f"quantized, {layout.name}")
        for layout in found.quantizations or found.presets
        if layout.quantized
    ]
    _print_quantities("one copy", "size", (*found.parts, *quantized), format_bytes)
    times = (*found.encoding, found.tokenizing, found.upload, found.index, found.ingest)
    _print_quantities("step", "time", times, duration)
    thumb = f"{found.rule_of_thumb.arithmetic} = {format_bytes(found.rule_of_thumb.value)}"
    together = f"; {inputs.servers} servers together" if inputs.servers > 1 else ""
    print()
    print_fields(
        {
            "RAM": f"{first.ram.arithmetic}{together}. By Qdrant's rule of thumb: {thumb}",
            "disk": f"{first.disk.arithmetic}{together}",
            "peak": "while the index is built: old and new segments",
            "~": "estimate; docs/wikipedia.md says how far to trust it",
        }
    )


def _print_quantities(
    title: str, header: str, rows: Sequence[Quantity], format_value: Callable[[float], str]
) -> None:
    print()
    cells = [
        (row.name, f"{'~' if row.estimate else ''}{format_value(row.value)}", row.arithmetic)
        for row in rows
    ]
    print_table((title, header, "arithmetic"), cells, numbers=[header])
