"""A Qdrant collection of passages: made or checked, written, searched. Knows no tensors."""

from rdr_qdrant.collection.asynchronous import AsyncCollection
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.copying import CopyReport, copy_collection
from rdr_qdrant.collection.description import CollectionDescription
from rdr_qdrant.collection.filters import metadata_filter
from rdr_qdrant.collection.payload import Hit
from rdr_qdrant.collection.points import Point, PointId
from rdr_qdrant.collection.querying import QueryOptions, to_hits
from rdr_qdrant.collection.sampling import Reservoir

__all__ = [
    "AsyncCollection",
    "Collection",
    "CollectionDescription",
    "CopyReport",
    "Hit",
    "Point",
    "PointId",
    "QueryOptions",
    "Reservoir",
    "copy_collection",
    "metadata_filter",
    "to_hits",
]
