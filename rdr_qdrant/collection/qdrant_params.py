"""Conversion of `CollectionSettings` to the parameters of a Qdrant version, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.bm25 import BM25_KEY, BM25_VECTOR
from rdr_qdrant.collection.bulk_indexing import effective_indexing_threshold
from rdr_qdrant.collection.json_path import metadata_key
from rdr_qdrant.collection.settings import CollectionSettings
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

Version = tuple[int, int]

MEMORY_SINCE = (1, 19)
"""First version with `memory`; older ones have `on_disk`, `always_ram`, `on_disk_payload`."""

METADATA_SINCE = (1, 16)
"""First version whose collections have metadata of their own."""

ID_TRACKER_SINCE = (1, 20)
"""First version that can keep ids outside RAM. An older one is not sent the setting, and does not
refuse it: the preset `disk` works there too, with a warning that the ids are pinned."""

_SINCE: Mapping[tuple[str, Any], Version] = {
    ("quantization", "turbo"): (1, 18),
    ("inline_storage", True): (1, 16),
    ("encoding", "one_and_half_bits"): (1, 15),
    ("encoding", "two_bits"): (1, 15),
    ("query_encoding", "scalar4bits"): (1, 15),
    ("query_encoding", "scalar8bits"): (1, 15),
    ("hnsw_memory", "pinned"): MEMORY_SINCE,
    ("quantization_memory", "cached"): MEMORY_SINCE,
    ("payload_index_memory", "cached"): MEMORY_SINCE,
}
"""First version that supports a value of a setting; older ones would ignore it silently."""

_CLUSTER = ("shard_number", "replication_factor", "write_consistency_factor")
_GRAPH = (
    "m",
    "ef_construct",
    "full_scan_threshold",
    "payload_m",
    "max_indexing_threads",
    "inline_storage",
)
_OPTIMIZERS = ("default_segment_number", "max_segment_size", "indexing_threshold")
_LEGACY_ON_DISK = {"cold": True, "cached": False, "pinned": False}


def check_supported(
    settings: CollectionSettings, version: Version | None, *, embedded: bool
) -> None:
    """Refuse settings that this Qdrant does not support.

    Args:
        settings: of the collection.
        version: of the server, where it is known.
        embedded: whether the collection is embedded.

    Raises:
        CollectionError: names the first such setting and the remedy.
    """
    if embedded:
        for name in _CLUSTER:
            if (getattr(settings, name) or 1) > 1:
                raise CollectionError(
                    f"An embedded collection is one shard on one machine: "
                    f"{name}={getattr(settings, name)} needs a server (--url). Leave it out."
                )
    if version is None:
        return
    for (name, value), since in _SINCE.items():
        if getattr(settings, name) == value and version < since:
            raise CollectionError(
                f"{name}={value} needs Qdrant {_dotted(since)}, but the server is "
                f"{_dotted(version)}. Choose another with --set {name}=..., or a newer server."
            )
    if settings.bm25 and version < METADATA_SINCE:
        raise CollectionError(
            f"BM25 needs Qdrant {_dotted(METADATA_SINCE)}, whose collections record how their "
            f"vectors were made, but the server is {_dotted(version)}. Leave --bm25 out."
        )
    in_ram = settings.vectors_memory != "cold"
    if version < MEMORY_SINCE and settings.quantization_memory == "cold" and in_ram:
        raise CollectionError(
            f"quantization_memory=cold with vectors in RAM needs Qdrant {_dotted(MEMORY_SINCE)}, "
            f"but the server is {_dotted(version)}. Give vectors_memory=cold as well."
        )


def vector_params(settings: CollectionSettings, version: Version | None) -> dict[str, Any]:
    """Return the parameters of `models.VectorParams` besides size and distance."""
    return _without_none(datatype=settings.datatype) | _memory_param(
        settings.vectors_memory, version
    )


def collection_params(settings: CollectionSettings, version: Version | None) -> dict[str, Any]:
    """Return the parameters of `create_collection` besides vectors and metadata."""
    from qdrant_client import models

    parameters: dict[str, Any] = _chosen(settings, _CLUSTER)
    parameters["quantization_config"] = _quantization(settings, version)
    if settings.bm25:
        sparse = models.SparseVectorParams(modifier=models.Modifier.IDF)
        parameters["sparse_vectors_config"] = {BM25_VECTOR: sparse}
    graph = _chosen(settings, _GRAPH) | _memory_param(settings.hnsw_memory, version)
    if graph:
        parameters["hnsw_config"] = models.HnswConfigDiff(**graph)
    optimizers = _chosen(settings, _OPTIMIZERS)
    if optimizers:
        parameters["optimizers_config"] = models.OptimizersConfigDiff(**optimizers)
    if settings.id_tracker_memory is not None and (version or ID_TRACKER_SINCE) >= ID_TRACKER_SINCE:
        memory = models.Memory(settings.id_tracker_memory)
        parameters["id_tracker"] = models.IdTrackerParams(memory=memory)
    if settings.payload_memory is not None:
        if _has_memory(version):
            memory = models.Memory(settings.payload_memory)
            parameters["payload"] = models.PayloadStorageParams(memory=memory)
        else:
            parameters["on_disk_payload"] = _LEGACY_ON_DISK[settings.payload_memory]
    return _without_none(**parameters)


def copied_params(config: models.CollectionConfig) -> dict[str, Any]:
    """Return the parameters of `create_collection` for a copy, besides metadata.

    Shards, replicas and optimizers are left to the Qdrant of the copy.
    """
    from qdrant_client import models

    params = config.params
    return _without_none(
        vectors_config=params.vectors,
        sparse_vectors_config=params.sparse_vectors,
        on_disk_payload=params.on_disk_payload,
        hnsw_config=models.HnswConfigDiff.model_validate(config.hnsw_config.model_dump()),
        quantization_config=config.quantization_config,
        payload=params.payload,
        id_tracker=params.id_tracker,
    )


def payload_index_params(settings: CollectionSettings, key: str, version: Version | None) -> Any:
    """Return the index schema of one metadata key that the settings name."""
    from qdrant_client import models

    params = _memory_param(settings.payload_index_memory, version)
    if key == settings.tenant:
        params["is_tenant"] = True
    kind = settings.payload_indexes.get(key, "keyword")
    if not params:
        return models.PayloadSchemaType(kind)
    return getattr(models, f"{kind.capitalize()}IndexParams")(type=kind, **params)


def read_settings(info: models.CollectionInfo, vector_name: str = "") -> CollectionSettings:
    """Read the settings of a collection from Qdrant's description, also from its older names."""
    config, params = info.config, info.config.params
    vectors = params.vectors
    vector = vectors.get(vector_name) if isinstance(vectors, Mapping) else vectors
    graph = config.hnsw_config
    vectors_memory = _read_memory(vector, "cached")
    payload_memory = _value(params.payload.memory) if params.payload else None
    if payload_memory is None:
        payload_memory = "cached" if params.on_disk_payload is False else "cold"
    schema = {metadata_key(path): index for path, index in (info.payload_schema or {}).items()}
    indexes = {key: index for key, index in schema.items() if key is not None}
    placements = sorted({_read_memory(index.params, "pinned") for index in indexes.values()})
    tenants = [key for key, index in indexes.items() if getattr(index.params, "is_tenant", None)]
    return CollectionSettings.model_construct(
        **{name: getattr(params, name) for name in _CLUSTER},
        **{name: getattr(graph, name) for name in _GRAPH},
        datatype=_value(getattr(vector, "datatype", None)) or "float32",
        vectors_memory=vectors_memory,
        payload_memory=payload_memory,
        payload_index_memory=" and ".join(placements) or None,
        id_tracker_memory=_read_memory(params.id_tracker, "pinned"),
        hnsw_memory=_read_memory(graph, "cached"),
        default_segment_number=config.optimizer_config.default_segment_number,
        max_segment_size=config.optimizer_config.max_segment_size,
        indexing_threshold=effective_indexing_threshold(info),
        payload_indexes={key: _value(index.data_type) for key, index in indexes.items()},
        tenant=tenants[0] if tenants else None,
        bm25=((config.metadata or {}).get(BM25_KEY) or {}).get("language"),
        **_read_quantization(config.quantization_config, vectors_memory),
    )


def _quantization(settings: CollectionSettings, version: Version | None) -> Any:
    from qdrant_client import models

    memory: dict[str, Any] = {}
    if settings.quantization_memory is not None:
        if _has_memory(version):
            memory["memory"] = settings.quantization_memory
        else:
            memory["always_ram"] = settings.quantization_memory == "pinned"
    match settings.quantization:
        case "scalar":
            scalar = models.ScalarQuantizationConfig(
                type=models.ScalarType.INT8, quantile=settings.quantile, **memory
            )
            return models.ScalarQuantization(scalar=scalar)
        case "binary":
            encodings = _chosen(settings, ("encoding", "query_encoding"))
            binary = models.BinaryQuantizationConfig(**encodings, **memory)
            return models.BinaryQuantization(binary=binary)
        case "product":
            compression = models.CompressionRatio(settings.compression or "x16")
            product = models.ProductQuantizationConfig(compression=compression, **memory)
            return models.ProductQuantization(product=product)
        case "turbo":
            turbo = models.TurboQuantQuantizationConfig(**_chosen(settings, ("bits",)), **memory)
            return models.TurboQuantization(turbo=turbo)
    return None


def _read_quantization(config: Any, vectors_memory: str) -> dict[str, Any]:
    if config is None:
        return {"quantization": "none"}
    [(method, details)] = list(config)
    memory = _value(details.memory)
    if memory is None:
        memory = "pinned" if details.always_ram or vectors_memory == "cached" else "cold"
    names = ("quantile", "encoding", "query_encoding", "compression", "bits")
    own = {name: _value(getattr(details, name, None)) for name in names}
    return {"quantization": method, "quantization_memory": memory, **own}


def _memory_param(memory: str | None, version: Version | None) -> dict[str, Any]:
    """Return the parameter for a memory tier: `memory`, or the older `on_disk`."""
    if memory is None:
        return {}
    return {"memory": memory} if _has_memory(version) else {"on_disk": _LEGACY_ON_DISK[memory]}


def _read_memory(structure: Any, default: str) -> str:
    """Read a memory tier from `memory`, or from the older `on_disk`."""
    memory = _value(getattr(structure, "memory", None))
    if memory is not None:
        return str(memory)
    return "cold" if getattr(structure, "on_disk", None) else default


def _has_memory(version: Version | None) -> bool:
    return version is None or version >= MEMORY_SINCE


def _value(member: Any) -> Any:
    return getattr(member, "value", member)


def _chosen(settings: CollectionSettings, names: Sequence[str]) -> dict[str, Any]:
    """Return those of these settings that are not left to Qdrant."""
    return _without_none(**{name: getattr(settings, name) for name in names})


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
