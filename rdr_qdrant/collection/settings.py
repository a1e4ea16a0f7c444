"""How a new collection is laid out for its size: Qdrant's settings, by preset or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

from rdr_qdrant.errors import UsageError

Memory = Literal["cold", "cached", "pinned"]
Evictable = Literal["cold", "cached"]
IndexType = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo"]

_METHOD_OF = {
    "quantile": "scalar",
    "encoding": "binary",
    "query_encoding": "binary",
    "compression": "product",
    "bits": "turbo",
}
"""The quantization that each of these settings belongs to."""

_TURBO = (
    "would store quantized vectors alone, so that nothing could be verified or rescored: "
    "quantization=turbo keeps the vectors beside them"
)
_UNFIT_DATATYPES = {
    "uint8": "holds whole numbers from 0 to 255, which these vectors are not: give "
    "quantization=scalar for 8 bits a number",
    **dict.fromkeys(("turbo4", "turbo8", "turbo16"), _TURBO),
}
"""Qdrant's datatypes that no collection of ours can have, and why."""


class CollectionSettings(BaseModel):
    """What a collection is created with, in Qdrant's own terms; `None` leaves it to Qdrant.

    Placements (`*_memory`) are Qdrant's memory tiers: `cold` is read from disk when it is needed,
    `cached` is loaded into the disk cache at the start and may be evicted, `pinned` stays in RAM.
    Servers before 1.19 get the older names (`on_disk`, `always_ram`, `on_disk_payload`). Sizes are
    in KB of vectors.

    Presets, and the advice that each follows (Qdrant's documentation, "Memory Tiers in Qdrant:
    What to Use and When", 2026-08-28, and "Quantization"):

    - `small`: vectors and graph cached, no quantization. The simplest layout, and a good default
      as long as everything fits into RAM.
    - `large`: vectors cold, 4-bit TurboQuant of them pinned, graph cached. For when RAM is what
      limits: 8 times less of it, fixed. Needs Qdrant 1.18.
    - `disk`: vectors, graph, 4-bit TurboQuant, ids and payload indexes all cold. The least RAM; as
      fast as the disk. What stays in RAM: each point's version, which points are deleted, segments
      that are not indexed yet, and ids on servers before 1.20.

    Attributes:
        shard_number: shards; Qdrant advises two to four a machine for large parallel loads. It
            cannot be changed later.
        replication_factor: copies of each shard, in a cluster.
        write_consistency_factor: copies that must confirm a write.
        datatype: of the vectors' numbers: `float32`, or `float16`, half the size, rounded to 11
            bits; scores move as little.
        vectors_memory: where the vectors lie.
        payload_memory: where the texts and metadata lie.
        hnsw_memory: where the graph lies.
        payload_index_memory: where the payload indexes lie; `pinned` unless said.
        id_tracker_memory: where point ids lie in indexed segments; `pinned` unless said, and on
            servers before 1.20, which have no other.
        m: edges of a node of the graph. Not 0, as Qdrant advises for tenants that are only ever
            searched one at a time: a search without that filter would find nothing, silently.
        ef_construct: neighbours looked at while the graph is built.
        full_scan_threshold: KB of vectors below which a filtered search scans instead.
        max_indexing_threads: threads that build one graph; 0 lets Qdrant choose.
        payload_m: additional edges for each indexed payload field; `m` unless said.
        inline_storage: copies of the vectors inside the graph's file; needs quantization, takes
            several times the disk, and makes a cold graph faster. Needs Qdrant 1.16.
        quantization: `scalar` (8 bits), `binary`, `product`, `turbo` (TurboQuant, Qdrant 1.18),
            or `none`. Whether a search rescores is said when searching.
        quantization_memory: where the quantized vectors lie.
        quantile: of `scalar`: the share of values inside its bounds.
        encoding: of `binary`: bits a number.
        query_encoding: of `binary`: how questions are encoded.
        compression: of `product`: how many times smaller.
        bits: of `turbo`: bits a number; 4 unless said.
        default_segment_number: segments that the optimizer aims at; 0 is one for each core.
        max_segment_size: KB above which it makes no segment.
        indexing_threshold: KB of a segment from which it is indexed; 0 is never, and every search
            compares all vectors.
        payload_indexes: metadata keys, as `--filter` names them, and the types of their indexes.
        tenant: the metadata key that tells whose a passage is: a keyword index, by which Qdrant
            also lays out the storage.
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

    @field_validator("datatype", mode="before")
    @classmethod
    def _holds_these_vectors(cls, value: Any) -> Any:
        if value in _UNFIT_DATATYPES:
            raise ValueError(f"this datatype {_UNFIT_DATATYPES[value]}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name, method in _METHOD_OF.items():
            if getattr(self, name) is not None and self.quantization != method:
                raise ValueError(f"{name} belongs to quantization={method}")
        quantized = self.quantization not in (None, "none")
        for name in ("quantization_memory", "inline_storage"):
            if getattr(self, name) and not quantized:
                raise ValueError(f"{name} needs a quantization")
        if "" in self.payload_indexes:
            raise ValueError("a payload index has the name of a metadata key")
        if self.tenant and self.payload_indexes.get(self.tenant, "keyword") != "keyword":
            raise ValueError(f"the tenant {self.tenant!r} has a keyword index, no other")
        return self

    @classmethod
    def preset(cls, name: str, **others: Any) -> Self:
        """A preset with other settings put over it.

        Raises:
            UsageError: there is no such preset.
            ValidationError: a setting that is unknown, out of range, or does not fit the others.
        """
        if name not in PRESETS:
            raise UsageError(f"There is no preset {name!r}. Known: {', '.join(PRESETS)}.")
        settings = dict(PRESETS[name])
        if others.get("quantization") == "none":
            settings.pop("quantization_memory", None)
        return cls(**{**settings, **others})

    @classmethod
    def named(
        cls,
        preset: str | None,
        assignments: Iterable[str] = (),
        payload_indexes: Iterable[str] = (),
        tenant: str | None = None,
    ) -> Self | None:
        """The settings that a command line names; `None` where it names none.

        Args:
            preset: its name.
            assignments: `m=32` and the like.
            payload_indexes: `year:integer`, or `source` for a keyword.
            tenant: a metadata key.

        Raises:
            UsageError: anything is unknown, out of range, or does not fit the rest.
        """
        given: dict[str, Any] = {}
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            if not (equals and value):
                raise UsageError(f"--set {assignment!r} is not of the form NAME=VALUE.")
            if name not in SIMPLE_SETTINGS:
                known = ", ".join(SIMPLE_SETTINGS)
                raise UsageError(f"There is no setting {name!r}. Known: {known}.")
            given[name] = value
        indexes = {}
        for index in payload_indexes:
            key, _, kind = index.rpartition(":") if ":" in index else (index, "", "keyword")
            indexes[key] = kind
        if indexes:
            given["payload_indexes"] = indexes
        if tenant is not None:
            given["tenant"] = tenant
        if not (preset or given):
            return None
        try:
            return cls.preset(preset, **given) if preset else cls(**given)
        except ValidationError as error:
            raise UsageError(_in_one_line(error)) from None

    def given(self) -> dict[str, Any]:
        """Those settings that say something."""
        return {name: value for name, value in self if value not in (None, {})}


SIMPLE_SETTINGS = tuple(
    name for name in CollectionSettings.model_fields if name not in ("payload_indexes", "tenant")
)
"""Those that are one value each."""

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
    """What of the settings asked for is not so: `m is 16, not 32`, and the like.

    Payload indexes that are missing are none of it: see `missing_payload_indexes`.
    """
    different = []
    quantized_alike = asked.quantization == found.quantization
    for name, value in asked.given().items():
        if name in (*_METHOD_OF, "quantization_memory") and not quantized_alike:
            continue
        if name == "payload_index_memory" and not found.payload_indexes:
            continue
        there = getattr(found, name)
        if name == "payload_indexes":
            different += [
                f"payload index {key} is {there[key]}, not {kind}"
                for key, kind in value.items()
                if there.get(key, kind) != kind
            ]
        elif name == "tenant" and value not in found.payload_indexes:
            continue
        elif there != value:
            different.append(f"{name} is {there}, not {value}")
    return different


def missing_payload_indexes(asked: CollectionSettings, found: CollectionSettings) -> dict[str, str]:
    """The payload indexes asked for that are not there, and their types."""
    wanted = dict(asked.payload_indexes)
    if asked.tenant:
        wanted[asked.tenant] = "keyword"
    return {key: kind for key, kind in wanted.items() if key not in found.payload_indexes}


def _in_one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    given = f"{place}={first['input']}: " if place else ""
    return f"Settings of a collection: {given}{message}."
