"""Adding to the hits of a search the parts of their texts that stand before and after them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, TEXT_KEY, is_ours
from rdr_qdrant.collection.point_encoding import PointId, normalized_id
from rdr_qdrant.errors import UsageError
from rdr_qdrant.passages import point_id
from rdr_qdrant.splitter import OVERLAP_KEY, part_id, text_and_number

if TYPE_CHECKING:
    from qdrant_client import models

NEIGHBORS_KEY = "neighbors"
"""Metadata key of a hit with neighbors: the ids of the passages in its text, in their order."""
MAX_NEIGHBORS = 100
"""Most parts on each side of a hit."""
NEIGHBOR_FIELDS = [TEXT_KEY, HASH_KEY, f"{METADATA_KEY}.id", f"{METADATA_KEY}.{OVERLAP_KEY}"]
"""Payload of a neighbor that is read."""

Payloads = Mapping[str, Mapping[str, Any]]
"""Payloads by passage id."""


def neighbor_ids(found: Sequence[Sequence[models.ScoredPoint]], neighbors: int) -> list[PointId]:
    """Return the points that may be neighbors of hits and are not hits of the same question.

    Args:
        found: the hits of each question, with payload.
        neighbors: parts on each side of a hit.

    Raises:
        UsageError: `neighbors` is not an integer from 0 to `MAX_NEIGHBORS`.
    """
    if not (type(neighbors) is int and 0 <= neighbors <= MAX_NEIGHBORS):
        raise UsageError(
            f"neighbors is {neighbors!r}: it must be an integer from 0 to {MAX_NEIGHBORS}."
        )
    if neighbors == 0:
        return []
    wanted: dict[str, None] = {}
    for hits in found:
        own = _own_payloads(hits)
        for text_id, number in filter(None, map(text_and_number, own)):
            near = range(max(1, number - neighbors), number + neighbors + 1)
            ids = (part_id(text_id, other) for other in near)
            wanted |= dict.fromkeys(one for one in ids if one not in own)
    return [point_id(one) for one in wanted]


def join_neighbors(
    found: list[list[models.ScoredPoint]], records: Sequence[models.Record], neighbors: int
) -> list[list[models.ScoredPoint]]:
    """Join to the text of each hit the texts of the parts before and after it.

    No part is in two results of a question: each hit keeps its own, and of others the better hit
    takes the next ones on both sides, up to one that is missing or taken. What a part repeats of
    the part before is removed where that part is in the results too. Order, ids and scores stay.

    Args:
        found: the hits of each question, best first, with payload.
        records: the points of `neighbor_ids` that exist and may be shown.
        neighbors: parts on each side of a hit.

    Returns:
        The hits, with joined texts and `NEIGHBORS_KEY` in their metadata; one that other software
        wrote as it is, and all of them where there are to be no neighbors.
    """
    if not neighbors:
        return found
    others = _own_payloads(records)
    return [_join(hits, {**others, **_own_payloads(hits)}, neighbors) for hits in found]


def _join(
    hits: Sequence[models.ScoredPoint], payloads: Payloads, neighbors: int
) -> list[models.ScoredPoint]:
    own = [_own_id(hit) for hit in hits]
    taken = {one for one in own if one is not None}
    runs: list[list[str]] = []
    for one in own:
        runs.append([] if one is None else _run(one, neighbors, payloads, taken))
        taken.update(runs[-1])
    return [
        _with_text(hit, run, payloads, taken) if run else hit
        for hit, run in zip(hits, runs, strict=True)
    ]


def _run(passage_id: str, neighbors: int, payloads: Payloads, taken: Container[str]) -> list[str]:
    """The ids of a hit and of the parts that it takes, in their order."""
    part = text_and_number(passage_id)
    if part is None:
        return [passage_id]
    text_id, number = part

    def free(numbers: Iterable[int]) -> Iterator[str]:
        for one in (part_id(text_id, number) for number in numbers):
            if one not in payloads or one in taken:
                return
            yield one

    before = free(range(number - 1, max(0, number - 1 - neighbors), -1))
    after = free(range(number + 1, number + 1 + neighbors))
    return [*reversed(list(before)), passage_id, *after]


def _with_text(
    hit: models.ScoredPoint, run: Sequence[str], payloads: Payloads, shown: Container[str]
) -> models.ScoredPoint:
    text = _text(payloads[run[0]])
    before = _part_before(run[0])
    if before is not None and before in shown:
        text = text[_repeated(payloads[before], payloads[run[0]]) :]
    for one, other in pairwise(run):
        text = _appended(text, payloads[one], payloads[other])
    payload = hit.payload or {}
    metadata = {**payload[METADATA_KEY], NEIGHBORS_KEY: list(run)}
    return hit.model_copy(update={"payload": {**payload, TEXT_KEY: text, METADATA_KEY: metadata}})


def _appended(text: str, last: Mapping[str, Any], following: Mapping[str, Any]) -> str:
    """Append the part that follows; between parts of several lines stands a line break."""
    added = _text(following)
    repeated = _repeated(last, following)
    if repeated:
        space = added[len(added[:repeated].rstrip()) : repeated]  # as in the text that was split
    else:
        space = "\n" if "\n" in _text(last) or "\n" in added else " "
    return f"{text.rstrip()}{space}{added[repeated:]}"


def _repeated(last: Mapping[str, Any], following: Mapping[str, Any]) -> int:
    """Characters with which a part repeats the end of the one before.

    A column of the user may have the same name: only what is repeated counts.
    """
    text, number = _text(following), following[METADATA_KEY].get(OVERLAP_KEY)
    if not (type(number) is int and 0 < number < len(text)):
        return 0
    return number if _text(last).rstrip().endswith(text[:number].rstrip()) else 0


def _part_before(passage_id: str) -> str | None:
    part = text_and_number(passage_id)
    return part_id(part[0], part[1] - 1) if part else None


def _own_id(point: models.ScoredPoint | models.Record) -> str | None:
    """The passage id of a point that is ours."""
    payload = point.payload
    ours = is_ours(normalized_id(point.id), payload)
    return str(payload[METADATA_KEY]["id"]) if payload and ours else None


def _own_payloads(
    points: Iterable[models.ScoredPoint | models.Record],
) -> dict[str, Mapping[str, Any]]:
    """Payloads by passage id, of the points that are ours."""
    found = ((_own_id(point), point.payload or {}) for point in points)
    return {one: payload for one, payload in found if one is not None}


def _text(payload: Mapping[str, Any]) -> str:
    return str(payload.get(TEXT_KEY) or "")
