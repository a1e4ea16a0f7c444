"""Qdrant collections of passages: created or checked, filled, searched. Knows no tensors."""

from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.async_collection import AsyncCollection
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.filters import IndexTypes, UntypedValue, metadata_filter
from rdr_qdrant.collection.info import (
    CollectionDescription,
    ListedCollection,
    list_collections,
)
from rdr_qdrant.collection.migrate import CopyReport, copy_collection
from rdr_qdrant.collection.payload import ScoredPassage
from rdr_qdrant.collection.point_encoding import Point, PointId
from rdr_qdrant.collection.points import StoredPoint, UpsertResult
from rdr_qdrant.collection.query import QueryOptions, to_scored_passages
from rdr_qdrant.collection.reservoir import Reservoir, Sampled
from rdr_qdrant.collection.settings import PRESETS, CollectionSettings

__all__ = [
    "PRESETS",
    "Aliases",
    "AsyncCollection",
    "Collection",
    "CollectionDescription",
    "CollectionSettings",
    "CopyReport",
    "IndexTypes",
    "ListedCollection",
    "Point",
    "PointId",
    "QueryOptions",
    "Reservoir",
    "Sampled",
    "ScoredPassage",
    "StoredPoint",
    "UntypedValue",
    "UpsertResult",
    "copy_collection",
    "list_collections",
    "metadata_filter",
    "to_scored_passages",
]
