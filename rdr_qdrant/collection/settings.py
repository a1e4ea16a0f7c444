"""Settings of a new collection: Qdrant's own, by preset or one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from rdr_qdrant.collection.bm25 import check_language
from rdr_qdrant.collection.json_path import metadata_paths
from rdr_qdrant.errors import UsageError

Memory = Literal["cold", "cached", "pinned"]
Evictable = Literal["cold", "cached"]
IndexType = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo"]

_QUANTIZATION_OF = {
    "quantile": "scalar",
    "encoding": "binary",
    "query_encoding": "binary",
    "compression": "product",
    "bits": "turbo",
}
"""Quantization method that each of these settings belongs to."""

_TURBO = (
    "would store quantized vectors alone, so that nothing could be verified or rescored: "
    "quantization=turbo keeps the vectors beside them"
)
_UNSUITABLE_DATATYPES = {
    "uint8": "holds whole numbers from 0 to 255, which these vectors are not: give "
    "quantization=scalar for 8 bits a number",
    **dict.fromkeys(("turbo4", "turbo8", "turbo16"), _TURBO),
}
"""Qdrant's datatypes that are unsuitable for these vectors, and why."""


class CollectionSettings(BaseModel):
    """Settings to create a collection with, in Qdrant's own terms; `None` leaves it to Qdrant.

    The `*_memory` settings are Qdrant's memory tiers: `cold` is read from disk when it is needed,
    `cached` is loaded into the disk cache at the start and may be evicted, `pinned` stays in RAM.
    Servers before 1.19 get the older names (`on_disk`, `always_ram`, `on_disk_payload`). Sizes are
    in KB of vectors.

    Presets, and the advice that each follows (Qdrant's documentation, "Memory Tiers in Qdrant:
    What to Use and When", 2026-08-28, and "Quantization"):

    - `small`: vectors and graph cached, no quantization. The simplest, and a good default as long
      as everything fits into RAM.
    - `large`: vectors cold, their 4-bit TurboQuant codes pinned, graph cached. Where RAM is the
      limit: 8 times less, and bounded. Needs Qdrant 1.18.
    - `disk`: vectors, graph, 4-bit TurboQuant codes, ids and payload indexes all cold. The least
      RAM; as fast as the disk. In RAM remain the points' versions, deletion flags, segments that
      are not indexed yet, and ids on servers before 1.20.

    Attributes:
        shard_number: shards; Qdrant advises two to four a machine for large parallel loads. It
            cannot be changed later.
        replication_factor: copies of each shard, in a cluster.
        write_consistency_factor: copies that must confirm a write.
        datatype: of the vectors' components: `float32`, or `float16`, half the size, rounded to 11
            bits; scores change as little.
        vectors_memory: memory tier of the vectors.
        payload_memory: memory tier of the texts and metadata.
        hnsw_memory: memory tier of the graph.
        payload_index_memory: memory tier of the payload indexes; `pinned` by default.
        id_tracker_memory: memory tier of the point ids in indexed segments; `pinned` by default
            and always on servers before 1.20.
        m: edges of a node of the graph. Not 0, as Qdrant advises for tenants that are only ever
            searched one at a time: a search without that filter would silently find nothing.
        ef_construct: neighbours considered while the graph is built.
        full_scan_threshold: KB of vectors below which a filtered search scans instead.
        max_indexing_threads: threads that build one graph; 0 lets Qdrant choose.
        payload_m: additional edges for each indexed payload field; `m` by default.
        inline_storage: copies of the vectors inside the graph's file; needs quantization, takes
            several times the disk, and makes a cold graph faster. Needs Qdrant 1.16.
        quantization: `scalar` (8 bits), `binary`, `product`, `turbo` (TurboQuant, Qdrant 1.18),
            or `none`. Rescoring is an option of a search.
        quantization_memory: memory tier of the quantized vectors.
        quantile: of `scalar`: the share of values inside its bounds.
        encoding: of `binary`: bits per component.
        query_encoding: of `binary`: encoding of the questions.
        compression: of `product`: compression ratio.
        bits: of `turbo`: bits per component; 4 by default.
        default_segment_number: segments that the optimizer aims at; 0 is one for each core.
        max_segment_size: largest segment that the optimizer makes, in KB.
        indexing_threshold: size in KB from which a segment is indexed; 0 disables indexing, so
            that every search compares all vectors.
        payload_indexes: metadata keys, as `--filter` names them, and their index types. A key with
            a dot (`author.name`) gets an index for the column of that name and one for the path.
        tenant: the metadata key that names a passage's tenant: gets a keyword index, by which
            Qdrant also arranges the storage.
        bm25: language of the sparse vectors that each point gets beside its dense one, for the
            modes `bm25` and `hybrid`; `none` is no language. Needs Qdrant 1.16.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard_number: PositiveInt | None = None
    replication_factor: PositiveInt | None = None
    write_consistency_factor: PositiveInt | None = None
    datatype: Literal["float32", "float16"] | None = None
    vectors_memory: Evictable | None = None
    payload_memory: Evictable | None = None
    hnsw_memory: Memory | None = None
    payload_index_memory: Memory | None = None
    id_tracker_memory: Memory | None = None
    m: PositiveInt | None = None
    ef_construct: int | None = Field(default=None, ge=4)
    full_scan_threshold: int | None = Field(default=None, ge=10)
    max_indexing_threads: NonNegativeInt | None = None
    payload_m: NonNegativeInt | None = None
    inline_storage: bool | None = None
    quantization: Literal["none", "scalar", "binary", "product", "turbo"] | None = None
    quantization_memory: Memory | None = None
    quantile: float | None = Field(default=None, ge=0.5, le=1.0)
    encoding: Literal["one_bit", "one_and_half_bits", "two_bits"] | None = None
    query_encoding: Literal["default", "binary", "scalar4bits", "scalar8bits"] | None = None
    compression: Literal["x4", "x8", "x16", "x32", "x64"] | None = None
    bits: Literal["bits1", "bits1_5", "bits2", "bits4", "bits8"] | None = None
    default_segment_number: NonNegativeInt | None = None
    max_segment_size: PositiveInt | None = None
    indexing_threshold: NonNegativeInt | None = None
    payload_indexes: Mapping[str, IndexType] = Field(default_factory=dict)
    tenant: str | None = Field(default=None, min_length=1)
    bm25: str | None = None

    @field_validator("datatype", mode="before")
    @classmethod
    def _check_datatype(cls, value: Any) -> Any:
        if value in _UNSUITABLE_DATATYPES:
            raise ValueError(f"this datatype {_UNSUITABLE_DATATYPES[value]}")
        return value

    @field_validator("bm25")
    @classmethod
    def _check_bm25(cls, value: str | None) -> str | None:
        if value is not None:
            _check(check_language, value)
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        for name, method in _QUANTIZATION_OF.items():
            if getattr(self, name) is not None and self.quantization != method:
                raise ValueError(f"{name} belongs to quantization={method}")
        quantized = self.quantization not in (None, "none")
        for name in ("quantization_memory", "inline_storage"):
            if getattr(self, name) and not quantized:
                raise ValueError(f"{name} needs a quantization")
        if "" in self.payload_indexes:
            raise ValueError("a payload index needs the name of a metadata key")
        for key in self.index_types():
            _check(metadata_paths, key)
        if self.tenant and self.payload_indexes.get(self.tenant, "keyword") != "keyword":
            raise ValueError(f"the tenant {self.tenant!r} needs a keyword index")
        return self

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Self:
        """Return a preset, with some settings overridden.

        Raises:
            UsageError: the preset is unknown.
            ValidationError: a setting is unknown, out of range, or does not fit the others.
        """
        if name not in PRESETS:
            raise UsageError(f"There is no preset {name!r}. Known: {', '.join(PRESETS)}.")
        settings = dict(PRESETS[name])
        if overrides.get("quantization") == "none":
            settings.pop("quantization_memory", None)
        return cls(**{**settings, **overrides})

    @classmethod
    def from_options(
        cls,
        preset: str | None,
        assignments: Iterable[str] = (),
        payload_indexes: Iterable[str] = (),
        tenant: str | None = None,
        bm25: str | None = None,
    ) -> Self | None:
        """Return the settings that command line options name, or `None` where there are none.

        Args:
            preset: its name.
            assignments: `m=32` and the like.
            payload_indexes: `year:integer`, or `source` for a keyword index.
            tenant: a metadata key.
            bm25: a language.

        Raises:
            UsageError: a name or value is unknown, out of range, or does not fit the others.
        """
        settings: dict[str, Any] = {}
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            if not (equals and value):
                raise UsageError(f"--set {assignment!r} is not of the form NAME=VALUE.")
            if name not in SCALAR_SETTINGS:
                known = ", ".join(SCALAR_SETTINGS)
                raise UsageError(f"There is no setting {name!r}. Known: {known}.")
            settings[name] = value
        indexes = {}
        for index in payload_indexes:
            key, _, kind = index.rpartition(":") if ":" in index else (index, "", "keyword")
            indexes[key] = kind
        if indexes:
            settings["payload_indexes"] = indexes
        if tenant is not None:
            settings["tenant"] = tenant
        if bm25 is not None:
            settings["bm25"] = bm25
        if not (preset or settings):
            return None
        try:
            return cls.preset(preset, **settings) if preset else cls(**settings)
        except ValidationError as error:
            raise UsageError(_first_error(error)) from None

    def explicitly_set(self) -> dict[str, Any]:
        """Return the settings that are not left to Qdrant."""
        return {name: value for name, value in self if value not in (None, {})}

    def index_types(self) -> dict[str, str]:
        """Return the metadata keys that get a payload index, and its type."""
        return {**self.payload_indexes, **({self.tenant: "keyword"} if self.tenant else {})}


SCALAR_SETTINGS = tuple(
    name
    for name in CollectionSettings.model_fields
    if name not in ("payload_indexes", "tenant", "bm25")
)
"""Names of the settings that `--set` takes; the others have options of their own."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small": {"vectors_memory": "cached", "hnsw_memory": "cached", "quantization": "none"},
    "large": {
        "vectors_memory": "cold",
        "payload_memory": "cold",
        "hnsw_memory": "cached",
        "quantization": "turbo",
        "quantization_memory": "pinned",
    },
    "disk": {
        "vectors_memory": "cold",
        "payload_memory": "cold",
        "hnsw_memory": "cold",
        "payload_index_memory": "cold",
        "id_tracker_memory": "cold",
        "quantization": "turbo",
        "quantization_memory": "cold",
    },
}


def differences(asked: CollectionSettings, found: CollectionSettings) -> list[str]:
    """Describe the settings that differ from those asked for: `m is 16, not 32`.

    Missing payload indexes do not count as differences; see `missing_payload_indexes`.
    """
    different = []
    same_quantization = asked.quantization == found.quantization
    for name, value in asked.explicitly_set().items():
        if name in (*_QUANTIZATION_OF, "quantization_memory") and not same_quantization:
            continue
        if name == "payload_index_memory" and not found.payload_indexes:
            continue
        actual = getattr(found, name)
        if name == "payload_indexes":
            different += [
                f"payload index {key} is {actual[key]}, not {kind}"
                for key, kind in value.items()
                if actual.get(key, kind) != kind
            ]
        elif name == "tenant" and value not in found.payload_indexes:
            continue
        elif actual != value:
            different.append(f"{name} is {actual}, not {value}")
    return different


def missing_payload_indexes(asked: CollectionSettings, found: CollectionSettings) -> dict[str, str]:
    """Return the payload indexes asked for that do not exist, and their types."""
    return {k: kind for k, kind in asked.index_types().items() if k not in found.payload_indexes}


def _check(check: Callable[[str], object], value: str) -> None:
    """Run a check, whose UsageError pydantic is to report as one of the setting."""
    try:
        check(value)
    except UsageError as error:
        raise ValueError(str(error).removesuffix(".")) from None


def _first_error(error: ValidationError) -> str:
    """Format the first of pydantic's errors as one line."""
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    value = f"{name}={first['input']}: " if name else ""
    return f"Settings of a collection: {value}{message}."
