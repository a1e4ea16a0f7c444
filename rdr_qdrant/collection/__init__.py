"""Qdrant collections of passages: created or checked, filled, searched. Knows no tensors."""

from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.async_collection import AsyncCollection
from rdr_qdrant.collection.bm25 import BM25_VECTOR, Bm25Encoder
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.filters import AllOf, IndexTypes, UntypedValue, metadata_filter
from rdr_qdrant.collection.fusion import Fusion, FusionMethod
from rdr_qdrant.collection.info import (
    CollectionDescription,
    ListedCollection,
    list_collections,
)
from rdr_qdrant.collection.limits import ResultLimitError
from rdr_qdrant.collection.migrate import copy_collection
from rdr_qdrant.collection.payload import ScoredPassage
from rdr_qdrant.collection.point_encoding import Point, PointId
from rdr_qdrant.collection.points import UpsertResult
from rdr_qdrant.collection.query import (
    MODES,
    Mode,
    QueryOptions,
    Questions,
    check_options,
    to_scored_passages,
)
from rdr_qdrant.collection.reservoir import Reservoir, Sampled
from rdr_qdrant.collection.settings import PRESETS, CollectionSettings

__all__ = [
    "BM25_VECTOR",
    "MODES",
    "PRESETS",
    "Aliases",
    "AllOf",
    "AsyncCollection",
    "Bm25Encoder",
    "Collection",
    "CollectionDescription",
    "CollectionSettings",
    "Fusion",
    "FusionMethod",
    "IndexTypes",
    "ListedCollection",
    "Mode",
    "Point",
    "PointId",
    "QueryOptions",
    "Questions",
    "Reservoir",
    "ResultLimitError",
    "Sampled",
    "ScoredPassage",
    "UntypedValue",
    "UpsertResult",
    "check_options",
    "copy_collection",
    "list_collections",
    "metadata_filter",
    "to_scored_passages",
]
