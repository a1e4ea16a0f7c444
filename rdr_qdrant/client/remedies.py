"""Remedies for what a server refuses, by the words in which it does (recorded from Qdrant 1.19)."""

from __future__ import annotations

import re

_AGAIN = "run the same command again"

BM25_TAKEN_AWAY = (
    f"BM25 was taken away meanwhile: {_AGAIN} without --bm25, or add it again first: "
    "rdr-qdrant index -c NAME --bm25"
)

_RIGHTS = [
    (r"ExpiredSignature", "it has expired: set QDRANT_API_KEY to a new one"),
    (r"Global manage access", "it may only read: set QDRANT_API_KEY to one that may write"),
    (
        r"Global access",
        "it is for single collections, and this changes the settings of one or concerns several: "
        "set QDRANT_API_KEY to a key for the whole Qdrant",
    ),
    (
        r"Write access to collection",
        "it may only read this collection: set QDRANT_API_KEY to one that may write to it",
    ),
    (
        r"Access to collection",
        "it is for other collections: set QDRANT_API_KEY to one that includes this collection",
    ),
]
"""Reasons of a 403, and the right that a key lacks."""

_REMEDIES = [
    (
        r"Collection `.*` doesn't exist",
        "Was it deleted meanwhile, or is the name wrong? rdr-qdrant info lists all",
    ),
    (
        r"Collection `.*` already exists",
        f"Another load has just made it, or an alias is to get the name of a collection: {_AGAIN}, "
        "or take another name",
    ),
    (
        r"Alias with the same name already exists",
        "Take another name, or load with --swap-alias to put a new collection behind the alias",
    ),
    (r"collection_name: value .* invalid", "Take a name of at most 255 characters"),
    (
        r"Vector dimension error",
        "The collection holds vectors of another length: take the pair that made it (rdr-qdrant "
        "info -c NAME names it), or another collection",
    ),
    (r"Not existing vector name error: bm25", BM25_TAKEN_AWAY),
    (
        r"Not existing vector name",
        "The collection has no vector of this name: rdr-qdrant info -c NAME describes it, "
        "--vector-name chooses one",
    ),
    (r"No point with id", f"It was deleted meanwhile: {_AGAIN}"),
    (
        r"is larger than allowed|larger than max|message length too large",
        "Send fewer passages at a time (--batch-size), or raise the server's max_request_size_mb",
    ),
    (
        r'Limit exceeded \d+ > (\d+) for "up(?:sert|date) limit"',
        r"The collection's strict mode takes \1 points at a time: --batch-size \1",
    ),
    (
        r'Limit exceeded \d+ > (\d+) for "limit"',
        r"The collection's strict mode (max_query_limit) allows k up to \1: -k \1",
    ),
    (
        r'Limit exceeded \d+ > (\d+) for "hnsw_ef"',
        r"The collection's strict mode allows hnsw_ef up to \1 in search_params",
    ),
    (
        r'Limit exceeded \d+ > (\d+) for "timeout"',
        r"The collection's strict mode allows a timeout of up to \1 s (max_timeout)",
    ),
    (
        r"Exact search disabled",
        "The collection's strict mode refuses it: leave --exact (exact=True) out",
    ),
    (
        r"Filter condition limit reached",
        "Use a filter of fewer conditions, or raise filter_max_conditions of the collection's "
        "strict mode",
    ),
    (
        r"maximum number of payload indices",
        "Leave --payload-index out, or raise max_payload_index_count of the collection's strict "
        "mode",
    ),
    (
        r"No range index for `order_by` key: `(?:metadata\.)?([^`]+)`",
        r"Any ingest into the collection adds one with --payload-index \1:TYPE: integer, float or "
        "datetime",
    ),
    (
        r"please try to split your request",
        "Send fewer points or questions at a time (--batch-size), or raise the rate limit of the "
        "collection's strict mode",
    ),
    (
        r"(Read|Write) rate limit exceeded",
        "Try again later, or raise the rate limit of the collection's strict mode",
    ),
    (
        r"expected value at line|untagged enum",
        "Is a number NaN or infinity? Doubt the encoder, its precision and its device",
    ),
    (
        r"consensus operation commit failed",
        f"Most nodes of the cluster do not answer, without which nothing can be created or "
        f"changed: start them, then {_AGAIN}",
    ),
    (
        r"No space left|disk is full|Out of disk|WAL buffer size exceeds",
        f"Free disk space on the server, then {_AGAIN}; what was confirmed is kept",
    ),
]

_PARTLY_DOWN = re.compile(
    r"(?:read operations failed|shards failed to apply operation).*"
    r"(?:unavailable|[Cc]onnect|transport error|deadline|[Tt]imeout)"
)
_NODES = re.compile(r"ConnectError\([^,]*, ([\w.:\[\]-]+:\d+)|connect to https?://([\w.:-]+)")


def is_partly_down(reason: str) -> bool:
    """Return whether a part of the cluster did not answer the node that was asked."""
    return _PARTLY_DOWN.search(reason) is not None


def describe_part_down(reason: str) -> str:
    """Say of a collection that a part of its cluster does not answer, and what to do."""
    nodes = sorted({one or other for one, other in _NODES.findall(reason)})
    where = f" ({', '.join(nodes)})" if nodes else ""
    if "failed to apply operation" in reason:
        return (
            f"cannot be written as a whole: a part of the cluster{where} does not answer, and some "
            "shards of the collection have no other copy, or fewer than must confirm a write "
            "(write_consistency_factor). What was confirmed is kept; start the node again, then "
            f"{_AGAIN}"
        )
    return (
        f"cannot be read as a whole: a part of the cluster{where} does not answer, and some shards "
        "of the collection have no other copy. Start the node again; a collection made with "
        "--set replication_factor=2 survives the loss of one"
    )


def missing_right(reason: str) -> str:
    """Describe the right that a key lacks, by the reason of a 403."""
    found = (text for pattern, text in _RIGHTS if re.search(pattern, reason))
    return next(found, "set QDRANT_API_KEY to one that may do this")


def remedy_for(reason: str) -> str:
    """Return what to do about a refusal, as a sentence after a space; empty where nothing is known.

    Args:
        reason: the server's words.
    """
    for pattern, text in _REMEDIES:
        if found := re.search(pattern, reason):
            return f" {found.expand(text)}."
    return ""
