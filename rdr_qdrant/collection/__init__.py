"""A Qdrant collection of passages: made or checked, written, searched. Knows no tensors."""

from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.async_collection import AsyncCollection
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.filters import IndexTypes, Typed, metadata_filter
from rdr_qdrant.collection.info import CollectionDescription
from rdr_qdrant.collection.listing import ListedCollection, list_collections
from rdr_qdrant.collection.migrate import CopyReport, copy_collection
from rdr_qdrant.collection.payload import Hit
from rdr_qdrant.collection.points import Point, PointId
from rdr_qdrant.collection.query import QueryOptions, to_hits
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
    "Hit",
    "IndexTypes",
    "ListedCollection",
    "Point",
    "PointId",
    "QueryOptions",
    "Reservoir",
    "Sampled",
    "Typed",
    "copy_collection",
    "list_collections",
    "metadata_filter",
    "to_hits",
]
