"""A Qdrant collection of passages: made or checked, written, searched. Knows no tensors."""

from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.asynchronous import AsyncCollection
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.copying import CopyReport, copy_collection
from rdr_qdrant.collection.description import CollectionDescription
from rdr_qdrant.collection.filters import IndexTypes, Typed, metadata_filter
from rdr_qdrant.collection.listing import ListedCollection, list_collections
from rdr_qdrant.collection.payload import Hit
from rdr_qdrant.collection.points import Point, PointId
from rdr_qdrant.collection.querying import QueryOptions, to_hits
from rdr_qdrant.collection.sampling import Drawn, Reservoir
from rdr_qdrant.collection.sizing import PRESETS, CollectionSettings

__all__ = [
    "PRESETS",
    "Aliases",
    "AsyncCollection",
    "Collection",
    "CollectionDescription",
    "CollectionSettings",
    "CopyReport",
    "Drawn",
    "Hit",
    "IndexTypes",
    "ListedCollection",
    "Point",
    "PointId",
    "QueryOptions",
    "Reservoir",
    "Typed",
    "copy_collection",
    "list_collections",
    "metadata_filter",
    "to_hits",
]
