"""Payload indexes: schema types and parameters."""

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
    params = {
        name: _parameter(name, value)
        for name, value in schema
        if value is not None and name != "type"
    }
    return _PARAMS[type(schema)](**params)


def schema_to_json(schema: Any) -> Any:
    """The schema as the settings file holds it: a name, or the parameters."""
    if isinstance(schema, models.PayloadSchemaType):
        return schema.value
    return schema if isinstance(schema, str) else schema.model_dump(mode="json", exclude_none=True)


def to_index_info(info: edge.PayloadIndexInfo, saved_schema: Any) -> models.PayloadIndexInfo:
    """An index as `get_collection` describes it; its schema comes from the settings file."""
    params = None
    if isinstance(saved_schema, dict):
        params = PARAMS_BY_TYPE[saved_schema["type"]](**saved_schema)
    kind = to_client_enum(models.PayloadSchemaType, info.data_type)
    return models.PayloadIndexInfo(data_type=kind, params=params, points=info.points)


def _parameter(name: str, value: Any) -> Any:
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
    languages = {to_engine_enum(edge.Language, name) for name in value.languages or []}
    return edge.StopwordsSet(
        languages={language for language in languages if language is not None},
        custom=set(value.custom or []),
    )


def _stemmer(value: Any) -> Any:
    if isinstance(value, models.DisabledStemmerParams):
        return edge.DisabledStemmer()
    language = to_engine_enum(edge.SnowballLanguage, value.language)
    assert language is not None
    return edge.SnowballParams(language)
