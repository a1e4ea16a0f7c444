"""What `ingest` says of a load when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.stderr import counted, say

if TYPE_CHECKING:
    from rdr_qdrant.collection import Collection, CollectionSettings
    from rdr_qdrant.ingest import LoadReport
    from rdr_qdrant.readers import DocumentCounts


def say_remarks(
    report: LoadReport,
    max_length: int,
    split: int | None,
    *,
    encoded_before: bool,
    half_floats: Sequence[str],
) -> None:
    """What people may not have meant, on stderr.

    Args:
        report: of the load.
        max_length: most tokens of a passage.
        split: words after which texts were cut, or `None`.
        encoded_before: the vectors came from `rdr-qdrant encode`.
        half_floats: the folders among those whose vectors are float16.
    """
    if half_floats and report.uploaded:
        say(
            f"Rounded: the vectors of {', '.join(half_floats)} are half floats (11 bits). A later "
            "load of the same passages, in float32 too, finds these points unchanged and leaves "
            "them so; --recreate replaces them."
        )
    if report.taken_over:
        say(
            f"Taken over: {counted(report.taken_over, 'points')} of these ids came from another "
            "source. Where two files number their rows alike, --id-prefix keeps the passages of "
            "both."
        )
    if report.truncated:
        whole = split is None and not report.documents
        smaller = "--split 100" if whole else "A smaller --split"
        say(
            f"Cut: {counted(report.truncated, 'passages')} longer than {max_length} tokens; only "
            f"the beginning is searchable. {smaller} {'at encode ' if encoded_before else ''}keeps "
            "all of it."
        )


def say_idle_indexes(collection: Collection, asked: CollectionSettings) -> None:
    """On stderr: payload indexes asked for that no passage has anything for."""
    if not collection.exists():  # a dry run
        return
    for key, kind in collection.payload_indexes.find_empty(asked).items():
        known = ", ".join(collection.points.sample_metadata_keys())
        say(
            f"The payload index {key}:{kind} is empty: no passage has the metadata {key!r}, or its "
            f"values are of another type. There are: {known}."
        )


def _remarked(number: int, remark: str) -> str:
    return f"{number:,} ({remark})" if number else "0"


def facts_of(report: LoadReport) -> dict[str, str]:
    """The report as names and values, for people."""
    rate = report.read / report.seconds if report.seconds else 0.0
    points = "? points" if report.points is None else counted(report.points, "points")
    facts = {
        "collection": f"{report.collection_name} ({points})",
        "read": f"{report.read:,} in {duration(report.seconds)} ({rate:,.1f}/s)",
        ("to encode" if report.dry_run else "uploaded"): f"{report.uploaded:,}",
        ("to update" if report.dry_run else "updated"): _remarked(report.updated, "metadata only"),
        "unchanged": f"{report.unchanged:,}",
        "rejected": f"{report.rejected:,}",
        "truncated": f"{report.truncated:,}",
    }
    if report.documents:
        facts |= _document_facts(report.documents)
    if report.index_seconds is not None:
        facts["index"] = f"complete after {duration(report.index_seconds)}"
    if report.alias:
        was = report.replaced or "nothing"
        kept = "" if not report.replaced else ", dropped" if report.dropped else ", kept"
        facts["alias"] = f"{report.alias} -> {report.collection_name} (before: {was}{kept})"
    if report.removed is not None:
        name = "to remove" if report.dry_run else "removed"
        facts[name] = _remarked(report.removed, "their sources no longer have them")
    if report.retries:
        facts["retries"] = f"{report.retries:,}"
    if report.dry_run:
        facts["verified"] = "nothing: a dry run, nothing was written"
    elif report.interrupted and not report.verified:
        facts["verified"] = "nothing: interrupted before the end"
    else:
        facts["verified"] = (
            f"{counted(report.verified, 'points')} found, {report.compared:,} of them read back "
            "and equal"
        )
    return facts


def _document_facts(counts: DocumentCounts) -> dict[str, str]:
    from rdr_qdrant.readers import format_extension_counts

    facts = {
        "documents": f"{counts.files:,}: {counts.converted:,} converted, {counts.unchanged:,} "
        f"unchanged, {counts.rejected:,} set aside"
    }
    if counts.others:
        facts["not read"] = f"{format_extension_counts(counts.others)} (no documents)"
    return facts
