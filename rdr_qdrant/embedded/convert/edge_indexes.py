"""Payload indexes: the client's schema types and parameters into the engine's, and back."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_enums import to_client_enum, to_engine_enum
from rdr_qdrant.embedded.errors import not_supported

_PARAMS: dict[type[Any], Any] = {
    models.KeywordIndexParams: edge.KeywordIndexParams,
    models.IntegerIndexParams: edge.IntegerIndexParams,
    models.FloatIndexParams: edge.FloatIndexParams,
    models.GeoIndexParams: edge.GeoIndexParams,
    models.BoolIndexParams: edge.BoolIndexParams,
    models.DatetimeIndexParams: edge.DatetimeIndexParams,
    models.UuidIndexParams: edge.UuidIndexParams,
    models.TextIndexParams: edge.TextIndexParams,
}
PARAMS_BY_TYPE = {kind.__name__.removesuffix("IndexParams").lower(): kind for kind in _PARAMS}


def to_engine_schema(schema: Any) -> Any:
    """The engine's schema for a `models.PayloadSchemaType` or one of the `*IndexParams`.

    Raises:
        NotSupportedError: no such schema.
    """
    if isinstance(schema, str | models.PayloadSchemaType):
        return to_engine_enum(edge.PayloadSchemaType, schema)
    if type(schema) not in _PARAMS:
        raise not_supported(f"the field schema {schema!r}", "pass a models.PayloadSchemaType")
    given = {name: value for name, value in schema if value is not None and name != "type"}
    return _PARAMS[type(schema)](**{name: _setting(name, value) for name, value in given.items()})


def schema_to_json(schema: Any) -> Any:
    """The schema as the settings file keeps it: a name, or the parameters."""
    if isinstance(schema, models.PayloadSchemaType):
        return schema.value
    return schema if isinstance(schema, str) else schema.model_dump(mode="json", exclude_none=True)


def to_index_info(info: edge.PayloadIndexInfo, kept: Any) -> models.PayloadIndexInfo:
    """What `get_collection` says of an index; `kept` is its schema from the settings file."""
    params = PARAMS_BY_TYPE[kept["type"]](**kept) if isinstance(kept, dict) else None
    kind = to_client_enum(models.PayloadSchemaType, info.data_type)
    return models.PayloadIndexInfo(data_type=kind, params=params, points=info.points)


def _setting(name: str, value: Any) -> Any:
    match name:
        case "memory":
            return to_engine_enum(edge.Memory, value)
        case "tokenizer":
            return to_engine_enum(edge.TokenizerType, value)
        case "stopwords":
            return _stopwords(value)
        case "stemmer":
            return _stemmer(value)
        case "scoring" if not isinstance(value, bool):
            kind = to_engine_enum(edge.TextScoringType, value.type)
            return edge.TextScoringParams() if kind is None else edge.TextScoringParams(kind)
    return value


def _stopwords(value: Any) -> Any:
    if not isinstance(value, models.StopwordsSet):
        return to_engine_enum(edge.Language, value)
    languages = {to_engine_enum(edge.Language, one) for one in value.languages or []}
    return edge.StopwordsSet(
        languages={one for one in languages if one is not None}, custom=set(value.custom or [])
    )


def _stemmer(value: Any) -> Any:
    if isinstance(value, models.DisabledStemmerParams):
        return edge.DisabledStemmer()
    language = to_engine_enum(edge.SnowballLanguage, value.language)
    assert language is not None
    return edge.SnowballParams(language)
