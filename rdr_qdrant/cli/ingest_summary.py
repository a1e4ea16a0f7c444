"""The summary of a load: its counts on stdout, remarks on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.stderr import pluralize, print_message

if TYPE_CHECKING:
    from rdr_qdrant.collection import Collection, CollectionSettings
    from rdr_qdrant.ingest import LoadReport
    from rdr_qdrant.readers import DocumentCounts


def print_remarks(
    report: LoadReport,
    *,
    max_length: int,
    split_rows: bool,
    prune: bool,
    encoded: bool,
    half_floats: Sequence[str],
    rejected_upstream: Mapping[str, int],
) -> None:
    """Print, on stderr, effects of the load that may not have been intended.

    Args:
        report: of the load.
        max_length: maximum tokens of a passage.
        split_rows: rows were split.
        prune: `--prune` was given.
        encoded: the vectors came from `rdr-qdrant encode`.
        half_floats: encoded folders whose vectors are float16.
        rejected_upstream: records that `encode` rejected, by encoded folder.
    """
    if prune and report.removed is None and not report.interrupted:
        _print_why_not_pruned(report, rejected_upstream)
    if report.removed is not None and report.documents and report.documents.rejected:
        print_message("Points of rejected documents are kept as they were.")
    if half_floats and report.uploaded:
        print_message(
            f"Rounded: the vectors of {', '.join(half_floats)} are half floats (11 bits). A later "
            "load of the same passages finds these points unchanged and keeps them, even if its "
            "vectors are float32; --recreate replaces them."
        )
    if report.taken_over:
        print_message(
            f"Taken over: {pluralize(report.taken_over, 'points')} with the same ids came from "
            "another source, and what they held is replaced. If two files number their rows alike, "
            "or two folders hold files of one name, --id-prefix keeps the passages of both."
        )
    if report.stale_vectors:
        print_message(
            f"Kept: vectors of other programs on {pluralize(report.stale_vectors, 'points')} whose "
            "text changed. If those are made of the text, they are out of date."
        )
    if report.truncated:
        whole = not (split_rows or report.documents)
        smaller = "--split 120" if whole else "--split-by sentences, or fewer words,"
        print_message(
            f"Truncated: {pluralize(report.truncated, 'passages')} longer than {max_length} "
            f"tokens; only the beginning is searchable. {smaller} "
            f"{'at encode ' if encoded else ''}keeps all of it."
        )


def _print_why_not_pruned(report: LoadReport, rejected_upstream: Mapping[str, int]) -> None:
    for folder, rejected in rejected_upstream.items():
        print_message(
            f"Nothing was pruned: encode rejected {pluralize(rejected, 'records')} of {folder}, "
            "and their points might be removed with the others. Correct them in the source, encode "
            "it into a new folder, and load that with --prune."
        )
    if report.rejected and not (report.changed_sources or rejected_upstream):
        print_message(
            "Nothing was pruned: some rows were rejected, and their points might be removed with "
            "the others."
        )


def print_idle_indexes(collection: Collection, requested: CollectionSettings) -> None:
    """Print, on stderr, the requested payload indexes that hold no value."""
    if not collection.exists():  # a dry run
        return
    for key, kind in collection.payload_indexes.find_empty(requested).items():
        known = ", ".join(collection.points.sample_metadata_keys())
        print_message(
            f"The payload index {key}:{kind} is empty: no passage has the metadata {key!r}, or its "
            f"values are of another type. There are: {known}."
        )


def summary_fields(report: LoadReport) -> dict[str, str]:
    """The report as names and values."""
    rate = report.read / report.seconds if report.seconds else 0.0
    points = "? points" if report.points is None else pluralize(report.points, "points")
    if report.points_approximate:
        points = f"about {points}: its strict mode takes no exact count"
    values = {
        "collection": f"{report.collection_name} ({points})",
        "read": f"{report.read:,} in {duration(report.seconds)} ({rate:,.1f}/s)",
        ("to encode" if report.dry_run else "uploaded"): f"{report.uploaded:,}",
        ("to update" if report.dry_run else "updated"): _count(report.updated, "metadata only"),
        "unchanged": f"{report.unchanged:,}",
        "rejected": f"{report.rejected:,}",
        "truncated": f"{report.truncated:,}",
    }
    if report.documents:
        values |= _document_fields(report.documents)
    if report.index_seconds is not None:
        values["index"] = f"complete after {duration(report.index_seconds)}"
    if report.alias:
        old = report.replaced or "nothing"
        kept = "" if not report.replaced else ", dropped" if report.dropped else ", kept"
        values["alias"] = f"{report.alias} -> {report.collection_name} (before: {old}{kept})"
    if report.removed is not None:
        name = "to remove" if report.dry_run else "removed"
        values[name] = _count(report.removed, "no longer in their sources")
    if report.leftover_parts:
        name = "to remove" if report.dry_run else "removed"
        values[f"{name} (parts)"] = _count(report.leftover_parts, "that their texts no longer have")
    if report.retries:
        values["retries"] = f"{report.retries:,}"
    if report.dry_run:
        values["verified"] = "nothing: a dry run writes nothing"
    elif report.interrupted and not report.verified:
        values["verified"] = "nothing: interrupted before the end"
    else:
        values["verified"] = (
            f"{pluralize(report.verified, 'points')} found, {report.compared:,} of them read back "
            "and equal"
        )
    return values


def _count(number: int, remark: str) -> str:
    return f"{number:,} ({remark})" if number else "0"


def _document_fields(counts: DocumentCounts) -> dict[str, str]:
    from rdr_qdrant.readers import format_extension_counts

    values = {
        "documents": f"{counts.files:,}: {counts.converted:,} converted, {counts.unchanged:,} "
        f"unchanged, {counts.rejected:,} rejected"
    }
    if counts.incomplete:
        values["documents"] += f", {counts.incomplete:,} incomplete (see the warnings)"
    if counts.others:
        values["not read"] = f"{format_extension_counts(counts.others)} (not documents)"
    return values
