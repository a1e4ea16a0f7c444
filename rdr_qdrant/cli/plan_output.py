"""A plan on stdout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.stdout import print_facts, print_table
from rdr_qdrant.planning import QUANTIZATIONS, Plan, Quantity
from rdr_qdrant.planning.estimate import size


def print_plan(found: Plan) -> None:
    """Parts, layouts and times, each with its arithmetic, and where the constants are from."""
    given = found.needs
    servers = "1 server" if given.servers == 1 else f"{given.servers} servers"
    copies = "1 copy" if given.replicas == 1 else f"{given.replicas} copies"
    print_facts(
        {
            "passages": f"{given.passages:,}, of {given.dimension} numbers and "
            f"{given.payload_bytes:,} bytes of payload",
            "where": f"{copies} on {servers}",
        }
    )
    _print_quantities("one copy, by parts", "size", found.parts, size)
    quantized = {
        QUANTIZATIONS[one.name].label: one.quantized for one in found.quantizations if one.quantized
    }
    names = tuple(quantized)
    _print_quantities("quantized vectors", "size", tuple(quantized.values()), size, names)
    _print_layouts(found)
    _print_quantities("step", "time", found.times, duration)
    _print_sources(found)


def _print_quantities(
    title: str,
    header: str,
    rows: Sequence[Quantity],
    shown: Callable[[float], str],
    names: Sequence[str] = (),
) -> None:
    if not rows:
        return
    print()
    cells = [
        (name, shown(row.value), row.arithmetic, "estimate" if row.estimate else "")
        for name, row in zip(names or [row.name for row in rows], rows, strict=True)
    ]
    print_table((title, header, "arithmetic", ""), cells, numbers=[header])


def _print_layouts(found: Plan) -> None:
    given = found.needs
    rows = [
        (
            QUANTIZATIONS[one.name].label,
            size(one.ram.value),
            size(one.ram_without_vectors.value) if one.ram_without_vectors else "-",
            size(one.disk.value),
            size(one.disk_peak.value),
            duration(one.index.value),
        )
        for one in found.quantizations
    ]
    header = ("all copies", "RAM, all in it", "RAM, vectors on disk", "disk", "at most", "index")
    if rows:
        print()
        print_table(header, rows, numbers=header[1:])
    if found.presets:
        print()
        print_table(
            ("preset", "RAM", "disk", "at most", "index", "RAM is"),
            [
                (
                    one.name,
                    size(one.ram.value),
                    size(one.disk.value),
                    size(one.disk_peak.value),
                    duration(one.index.value),
                    one.ram.arithmetic,
                )
                for one in found.presets
            ],
            numbers=("RAM", "disk", "at most", "index"),
        )
    print()
    facts = {
        "disk": "vectors, quantized, graph, ids, payload and log; at most: while the index is "
        "built, when old and new segments are both there",
        "RAM": "what search keeps there; Qdrant's rule of thumb with all vectors in it is "
        f"{found.rule_of_thumb.arithmetic} = {size(found.rule_of_thumb.value)}",
        "index": "how long it takes to build" + _index_times(found),
    }
    if given.servers > 1:
        facts["servers"] = f"each has a part in {given.servers} of RAM and disk"
    print_facts(facts)


def _index_times(found: Plan) -> str:
    """What an index takes beside one without quantization, as was measured."""
    if not found.needs.index.estimate:
        return ", at the rate that was given"
    times = [
        f"{name} {one.index_time:g}" for name, one in QUANTIZATIONS.items() if one.index_time != 1.0
    ]
    return (
        "; the engine compares quantized vectors for it, so that beside one without quantization "
        f"it takes, in one measurement, {', '.join(times)} of the time"
    )


def _print_sources(found: Plan) -> None:
    sources: dict[str, str] = {}
    for one in (*found.parts, *found.times):
        sources.setdefault(one.name, one.source)
    for layout in found.quantizations:
        if layout.quantized:
            sources.setdefault(layout.quantized.name, layout.quantized.source)
    print()
    print("sources")
    print_facts(sources)
