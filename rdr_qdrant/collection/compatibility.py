"""Checks that a collection and an encoder pair belong together; errors name both values."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rdr_qdrant.errors import CollectionError, ModelError
from rdr_qdrant.registry import PAIRS, PairIdentity

logger = logging.getLogger(__name__)

PROBE_TOLERANCE = 0.1
"""Largest relative distance between two probes of one encoder. Half precision moves a vector by
about 0.005 of its length and int8 by 0.03 to 0.07; another encoder moves it by about its length."""


def check_vectors(
    name: str, vectors: Any, *, dimension: int | None = None, vector_name: str = ""
) -> tuple[int, str]:
    """Return size and distance of the vector in use, from the collection's `vectors` parameters.

    Raises:
        CollectionError: there is no vector of that name, its distance is not dot product, or its
            size is not `dimension`.
    """
    if isinstance(vectors, Mapping):
        if vector_name not in vectors:
            wanted = repr(vector_name) if vector_name else "the unnamed vector"
            raise CollectionError(
                f"Collection {name!r} has the named vectors {', '.join(map(repr, vectors))}, "
                f"but {wanted} is wanted. Name one with "
                "--vector-name NAME (vector_name=...), or use another collection."
            )
        params = vectors[vector_name]
    elif vector_name:
        raise CollectionError(
            f"Collection {name!r} has one unnamed vector, but {vector_name!r} is wanted. "
            "Leave --vector-name (vector_name) out, or use another collection."
        )
    else:
        params = vectors
    size = int(params.size)
    distance = str(getattr(params.distance, "value", params.distance))
    if distance != "Dot":
        raise CollectionError(
            f"Collection {name!r} compares by {distance}, but RDR's vectors need Dot "
            "(raw inner product). It is left as it is; load into a collection of another name."
        )
    if dimension is not None and size != dimension:
        raise CollectionError(
            f"Collection {name!r} holds vectors of {size} numbers, but this encoder makes "
            f"{dimension}. Use the pair it was made with, or a collection of another name."
        )
    return size, distance


@contextmanager
def loading_encoders(
    name: str,
    stored: Mapping[str, Any] | None,
    label: str,
    vectors: Any,
    vector_name: str = "",
) -> Iterator[None]:
    """Load the encoders of a pair to use them with a collection.

    Two different named pairs never fit, nor does a vector of another distance or name, so nothing
    is loaded. Other names of pairs prove nothing: if the encoders cannot be loaded, the error adds
    which pair made the collection.

    Args:
        name: of the collection.
        stored: the recorded identity, or `None`.
        label: name of the pair in use, or both ids.
        vectors: the collection's `vectors` parameters.
        vector_name: of the vector in use.

    Raises:
        CollectionError: another named pair made the collection, or see `check_vectors`.
        ModelError: the encoders cannot be loaded.
    """
    theirs = None if stored is None else str(stored.get("model", "unknown"))
    if theirs in PAIRS and label in PAIRS and theirs != label:
        raise CollectionError(
            f"Collection {name!r} was made with {theirs}, not with {label}, so their vectors would "
            f"not match. Use {theirs} (--model {theirs}), or another collection."
        )
    check_vectors(name, vectors, vector_name=vector_name)
    try:
        yield
    except ModelError as error:
        if theirs is None or theirs == label:
            raise
        raise ModelError(f"{error} Collection {name!r} was made with {theirs}.") from error


def check_identity(
    name: str, stored: Mapping[str, Any] | None, ours: PairIdentity, *, allow_unverified: bool
) -> None:
    """Compare the encoders recorded in a collection's metadata with the pair in use.

    Names are not compared, since one checkpoint may have many. Probes are, and everything else that
    changes a vector.

    Args:
        name: of the collection.
        stored: the recorded identity, or `None`.
        ours: the pair in use.
        allow_unverified: accept a collection without a recorded identity.

    Raises:
        CollectionError: they differ, or nothing is recorded and `allow_unverified` is not set.
    """
    if stored is None:
        if not allow_unverified:
            raise CollectionError(
                f"Collection {name!r} does not say which encoders made its vectors (other software "
                f"or a Qdrant before 1.16 made it), so {ours.name} cannot be checked against it. "
                "If you know that they belong together, allow it with --allow-unverified "
                "(allow_unverified=True)."
            )
        logger.warning(
            "Collection %r does not say which encoders made it; %s is used unverified",
            name,
            ours.name,
        )
        return
    theirs = str(stored.get("model", "unknown"))
    if stored.get("revision"):
        theirs += f"@{stored['revision']}"
    for field, ours_value in (
        ("max_length", ours.max_length),
        ("passage_format", ours.passage_format),
    ):
        if stored.get(field) != ours_value:
            raise CollectionError(
                f"Collection {name!r} was made by {theirs} with {field} {stored.get(field)!r}, "
                f"but {ours.name} is used with {ours_value!r}. Use the same, or another collection."
            )
    precision = stored.get("precision", ours.precision)
    if ours.probe and precision != ours.precision:
        logger.warning(
            "Collection %r was encoded in precision %s, new passages are encoded in %s; they stay "
            "comparable, since the difference is rounding alone",
            name,
            precision,
            ours.precision,
        )
    for kind, own_probe in (("probe", ours.probe), ("question_probe", ours.question_probe)):
        if own_probe and not _close(stored.get(kind), own_probe):
            what = "questions" if kind == "question_probe" else "passages"
            raise CollectionError(
                f"Collection {name!r} was made with {theirs} ({stored.get('context_encoder')}), "
                f"not with {ours.name} ({ours.context_encoder}): their vectors of one and the "
                f"same text differ, so {what} would not match. Use the pair it was made with, or "
                "another collection."
            )


def _close(stored: Any, ours: Sequence[float]) -> bool:
    if not isinstance(stored, Sequence) or len(stored) != len(ours):
        return False
    return math.dist(stored, ours) <= PROBE_TOLERANCE * math.hypot(*ours)
