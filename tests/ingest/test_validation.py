"""Passages from Python: rows of a DataFrame or a database are used, rejected, but never changed."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.errors import SourceError
from rdr_qdrant.ingest.validation import to_storable_passage
from rdr_qdrant.passages import id_from_content
from rdr_qdrant.readers import Reject
from rdr_qdrant.readers.row_parser import RowError

NAN = float("nan")


class Colour(enum.StrEnum):
    RED = "red"


class Text(str):
    """A string that prints otherwise."""

    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (Passage(5, "river"), "5"),  # type: ignore[arg-type]
        (Passage(np.int64(5), "river"), "5"),  # type: ignore[arg-type]
        (Passage(5.0, "river"), "5"),  # type: ignore[arg-type]
        (Passage(np.str_("a"), "river"), "a"),
        (Passage(Text("a"), "river"), "a"),
        (Passage(None, "river"), id_from_content("", "river")),  # type: ignore[arg-type]
        (Passage("", "river"), id_from_content("", "river")),
        (Document(page_content="river", metadata={"id": 5}), "5"),
        (Document(page_content="river", id="7", metadata={"id": 5}), "7"),
    ],
)
def test_ids_that_mean_something_are_kept(given: Any, stored: str) -> None:
    passage = to_storable_passage(given)
    assert (passage.id, type(passage.id)) == (stored, str)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("river", "is a str, not a Passage or a Document: give Passage"),
        ({"text": "river"}, "is a dict, not a Passage"),
        (None, "is a NoneType, not a Passage"),
        (NAN, "is NaN, not a Passage"),
        (Passage(NAN, "river"), "id is NaN, not a string or a whole number"),  # type: ignore[arg-type]
        (Passage(1.5, "river"), "id is a float, not"),  # type: ignore[arg-type]
        (Passage(True, "river"), "id is a bool, not"),
        (Passage(["1"], "river"), "id is a list, not"),  # type: ignore[arg-type]
        (Passage("1", None), "text is a NoneType, not a string"),  # type: ignore[arg-type]
        (Passage("1", NAN), "text is NaN, not a string"),  # type: ignore[arg-type]
        (Passage("1", b"river"), "text is a bytes, not a string"),  # type: ignore[arg-type]
        (Passage("1", " "), "text is empty"),
        (Passage("1", "river", NAN), "title is NaN, not a string"),  # type: ignore[arg-type]
        (Passage("1", "river", 5), "title is an int, not a string"),  # type: ignore[arg-type]
        (Passage("1", "ri\udc00ver"), "not valid Unicode"),
        (Passage("1", "river", metadata="x"), "metadata is a str, not a mapping"),  # type: ignore[arg-type]
        (Passage("1", "river", metadata={"a": object()}), "metadata is not JSON"),
        (Passage("1", "river", metadata={"a": NAN}), "not a JSON number"),
        (Passage("1", "river", metadata={1: "a", "1": "b"}), "two keys that are both '1'"),  # type: ignore[dict-item]
        (Passage("1", "river", metadata={"a": {None: 1}}), "metadata.a has a key that is a None"),
        (Passage("1", "river", metadata={"a": {"b": [2**64]}}), "'a.b' is an integer beyond 64"),
        (Passage("1", "river", metadata={"a": -(2**63) - 1}), "integer beyond 64 bits"),
    ],
)
def test_what_would_be_changed_or_lost_is_rejected(given: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        to_storable_passage(given)


def test_metadata_become_plain_values_alike_in_every_process() -> None:
    metadata = {
        "set": {"b", "a", "c"},
        "numbers": frozenset([10, 9]),
        "text": Text("kept"),
        "colour": Colour.RED,
        "array": np.array([1, 2]),
        "number": np.float32(0.5),
        "tuple": (1, None, True),
        Text("key"): 2**64 - 1,
        7: -(2**63),
    }
    plain = to_storable_passage(Passage("1", Text("river"), Colour.RED, metadata)).metadata
    assert plain == {
        "set": ["a", "b", "c"],
        "numbers": [10, 9],
        "text": "kept",
        "colour": "red",
        "array": [1, 2],
        "number": 0.5,
        "tuple": [1, None, True],
        "key": 2**64 - 1,
        "7": -(2**63),
    }
    assert {type(one) for one in [*plain, plain["text"], plain["colour"]]} == {str}


@pytest.fixture
def load(tiny: RDREmbeddings) -> Callable[..., LoadReport]:
    client: QdrantClient = connect(path=":memory:")

    def load(items: Any, **options: Any) -> LoadReport:
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c", **options)
        return loader.load(items)

    return load


def test_one_wrong_item_ends_nothing(load: Callable[..., LoadReport]) -> None:
    rejects: list[Reject] = []
    items = [Passage(str(n), f"river {n}") for n in range(20)]
    items[3:3] = ["text", None, Passage(99, "king", None, None), Passage("x", NAN)]  # type: ignore[list-item,arg-type]
    report = load(items, on_reject=rejects.append, batch_size=4)
    assert (report.read, report.uploaded, report.rejected) == (24, 21, 3)
    assert [reject.line for reject in rejects] == [4, 5, 7]


def test_rejects_that_nobody_asked_for_are_logged(
    load: Callable[..., LoadReport], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert load([Passage("1", "river"), "text", Passage("2", " ")]).rejected == 2
    assert "2 rejected (first: passages, line 2: is a str" in caplog.text
    assert "Give on_reject" in caplog.text


def test_where_nothing_can_be_used_it_is_an_error(load: Callable[..., LoadReport]) -> None:
    with pytest.raises(SourceError, match=r"None of the 2 passages .* is a dict, not a Passage"):
        load([{"text": "river"}, "text"])
    assert load([]).read == 0


def test_a_subclass_of_str_as_title_is_verified(load: Callable[..., LoadReport]) -> None:
    report = load([Passage("1", "river", Text("title")), Passage("2", "king", np.str_("x"))])
    assert (report.uploaded, report.compared) == (2, 2)
