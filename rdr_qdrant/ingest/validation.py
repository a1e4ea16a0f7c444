"""Passages from Python objects: checked like rows of a file, and reduced to plain JSON values."""

from __future__ import annotations

import json
import numbers
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from rdr_qdrant.ingest.records import SourceRecord
from rdr_qdrant.passages import Passage, id_from_content
from rdr_qdrant.readers import Reject, RejectHandler
from rdr_qdrant.readers.row_parser import RowError, check_json

ITERABLE = "passages"
"""Source name of passages that come from an iterable."""

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""Integers that Qdrant keeps; it turns others into floats."""


def records_of_passages(passages: Iterable[Any], reject: RejectHandler) -> Iterator[SourceRecord]:
    """Passages and LangChain documents that can be stored; the others go to `reject`."""
    for number, item in enumerate(passages, start=1):
        try:
            yield SourceRecord(to_storable_passage(item), ITERABLE, number)
        except RowError as error:
            reject(Reject(ITERABLE, number, str(error), repr(item)))


def to_storable_passage(item: Any) -> Passage:
    """A passage whose fields are exact `str` and whose metadata are plain JSON values.

    Whole numbers are ids; a title, metadata or id that is `None` counts as not given, and a passage
    without an id gets one from its content. Values such as dates and UUIDs become text.

    Args:
        item: a `Passage`, or a LangChain `Document` with its title in the metadata.

    Raises:
        RowError: it is neither, or a value would be changed or lost if it were stored.
    """
    identifier: Any
    title: Any
    metadata: Any
    if isinstance(item, Passage):
        identifier, title, text, metadata = item.id, item.title, item.text, item.metadata
    elif hasattr(item, "page_content") and hasattr(item, "metadata"):
        metadata = item.metadata
        if isinstance(metadata, Mapping):
            metadata = dict(metadata)
            title, identifier = metadata.pop("title", None), metadata.pop("id", None)
        else:
            title = identifier = None
        given = getattr(item, "id", None)
        identifier, text = identifier if given is None else given, item.page_content
    else:
        raise RowError(
            f"is {_type_name(item)}, not a Passage or a Document: give Passage(id=..., text=...)"
        )
    if not isinstance(text, str):
        raise RowError(f"text is {_type_name(text)}, not a string")
    if not text.strip():
        raise RowError("text is empty")
    plain_text, plain_title = _plain_text(text), _title(title)
    _check_unicode(plain_title, plain_text)
    passage_id = _id(identifier) or id_from_content(plain_title, plain_text)
    _check_unicode(passage_id)
    return Passage(passage_id, plain_text, plain_title, _metadata(metadata))


def _title(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"title is {_type_name(value)}, not a string")
    return _plain_text(value)


def _id(value: Any) -> str:
    """The id as a string, `""` if there is none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _plain_text(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if is_number and float(value).is_integer():
        return str(int(value))
    raise RowError(f"id is {_type_name(value)}, not a string or a whole number")


def _metadata(value: Any) -> dict[str, Any]:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RowError(f"metadata is {_type_name(value)}, not a mapping")
    try:
        plain = to_jsonable_python(_ordered(value, "metadata"))
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise RowError(f"metadata is not JSON: {error}") from None
    check_json(plain)
    return {key: _exact(one, key) for key, one in plain.items()}


def _ordered(value: Any, where: str) -> Any:
    """The value with sets as sorted lists; keys that would become the same text are refused."""
    if isinstance(value, Mapping):
        keys = [_key(key, where) for key in value]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise RowError(f"{where} has two keys that are both {twice!r} in JSON")
        items = zip(keys, value.values(), strict=True)
        return {key: _ordered(one, f"{where}.{key}") for key, one in items}
    if isinstance(value, AbstractSet):
        plain = [_ordered(one, where) for one in value]
        return sorted(plain, key=lambda one: json.dumps(one, sort_keys=True, default=str))
    if isinstance(value, list | tuple):
        return [_ordered(one, where) for one in value]
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # of numpy
        return _ordered(value.tolist(), where)
    return _plain_text(value) if isinstance(value, str) else value


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return _plain_text(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(int(key))
    raise RowError(f"{where} has a key that is {_type_name(key)}, not a string")


def _exact(value: Any, where: str) -> Any:
    """The value, if Qdrant keeps its integers as they are."""
    if isinstance(value, Mapping):
        return {key: _exact(one, f"{where}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one, where) for one in value]
    if type(value) is int and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise RowError(f"metadata {where!r} is an integer beyond 64 bits: give it as text")
    return value


def _plain_text(value: str) -> str:
    """The text as an exact `str`: a subclass may compare, hash or print otherwise."""
    return value if type(value) is str else str.__str__(value)


def _check_unicode(*texts: str) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        raise RowError("not valid Unicode") from None


def _type_name(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return "NaN"
    name = type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return f"{article} {name}"
