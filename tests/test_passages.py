"""Point ids, content hashes and LangChain documents."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from rdr_qdrant import Passage
from rdr_qdrant.passages import content_hash, id_from_content, point_id

NAMESPACE = uuid.UUID("8f0c5a52-4f0e-5d0a-9d5e-6f1f3c1e7a10")


@pytest.mark.parametrize(
    ("passage_id", "number"),
    [
        ("0", 0),
        ("7", 7),
        ("21015324", 21015324),
        ("9223372036854775808", 2**63),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_a_canonical_decimal_below_2_to_the_64_is_its_own_point_id(
    passage_id: str, number: int
) -> None:
    assert point_id(passage_id) == number


@pytest.mark.parametrize(
    "passage_id",
    [
        "",
        "007",
        "00",
        "-1",
        "-0",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "\ufeff1",
        "1.0",
        "1e3",
        "1_000",
        "0x10",
        "18446744073709551616",
        "99999999999999999999",
        "100000000000000000000",
        "٣",
        "१२",
        "²",
        "１",
        "wiki-1",
        "Zürich",
        "1#1",
        "8f0c5a52-4f0e-5d0a-9d5e-6f1f3c1e7a10",
    ],
)
def test_any_other_id_becomes_a_uuid5_in_the_fixed_namespace(passage_id: str) -> None:
    assert point_id(passage_id) == str(uuid.uuid5(NAMESPACE, passage_id))


def test_stored_point_ids_never_change() -> None:
    assert point_id("wiki-1") == "111dfacc-d839-5634-96bc-ac338f422a7c"
    assert point_id("007") == "056b5c58-81dc-523c-8d90-aa350f4c4611"
    assert point_id("Zürich") == "d1aa6840-f9a6-5604-8114-c3340036016d"


@given(st.integers(min_value=0, max_value=2**64 - 1))
@settings(deadline=None)
def test_every_number_that_fits_64_bits_is_itself(number: int) -> None:
    assert point_id(str(number)) == number


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_a_point_id_is_a_number_exactly_where_it_writes_back_to_the_same_id(text: str) -> None:
    found = point_id(text)
    if isinstance(found, int):
        assert str(found) == text
    else:
        assert uuid.UUID(found).version == 5


def framed(*parts: str) -> str:
    """SHA-256 over the parts, each preceded by its length in bytes."""
    data = b"".join(len(p.encode()).to_bytes(8, "big") + p.encode() for p in parts)
    return hashlib.sha256(data).hexdigest()


def test_the_content_hash_is_sha_256_over_title_text_and_encoder() -> None:
    passage = Passage(id="1", text="Ä text", title="T")
    assert content_hash(passage, "encoder") == framed("T", "Ä text", "encoder")


def test_the_content_hash_ignores_id_and_metadata() -> None:
    one = Passage(id="1", text="text", title="T", metadata={"a": 1})
    other = Passage(id="2", text="text", title="T", metadata={"b": [2]})
    assert content_hash(one, "e") == content_hash(other, "e")


@pytest.mark.parametrize(
    ("title", "text", "encoder"),
    [
        ("t", "text", "e"),
        ("T", "text ", "e"),
        ("T", "text", "E"),
        ("Tt", "ext", "e"),
        ("", "Ttext", "e"),
        ("T", "texte", ""),
        ("text", "T", "e"),
    ],
)
def test_a_change_in_title_text_or_encoder_changes_the_hash(
    title: str, text: str, encoder: str
) -> None:
    known = content_hash(Passage(id="1", title="T", text="text"), "e")
    assert content_hash(Passage(id="1", title=title, text=text), encoder) != known


def test_an_id_from_content_is_the_same_every_time_and_differs_by_title_and_text() -> None:
    assert id_from_content("T", "text") == framed("T", "text")[:32]
    assert len({id_from_content(*parts) for parts in [("T", "x"), ("", "Tx"), ("x", "T")]}) == 3


def test_a_passage_is_frozen() -> None:
    passage = Passage(id="1", text="text")
    with pytest.raises(dataclasses.FrozenInstanceError):
        passage.text = "other"  # type: ignore[misc]


def test_a_passage_has_no_title_and_its_own_metadata_by_default() -> None:
    one, other = Passage(id="1", text="a"), Passage(id="2", text="b")
    assert (one.title, one.metadata) == ("", {})
    assert one.metadata is not other.metadata


def test_a_document_gives_title_id_and_the_rest_as_metadata() -> None:
    document = Document(
        page_content="text", id="d1", metadata={"title": "T", "source": "s.txt", "n": 3}
    )
    assert Passage.from_document(document) == Passage(
        id="d1", text="text", title="T", metadata={"source": "s.txt", "n": 3}
    )


def test_a_document_is_left_as_it_was() -> None:
    document = Document(page_content="text", metadata={"title": "T", "id": "m", "n": 3})
    Passage.from_document(document)
    assert document.metadata == {"title": "T", "id": "m", "n": 3}


def test_a_documents_own_id_goes_before_the_one_in_its_metadata() -> None:
    both = Document(page_content="text", id="own", metadata={"id": "meta"})
    assert Passage.from_document(both) == Passage(id="own", text="text")


@pytest.mark.parametrize(("named", "identifier"), [("m", "m"), (17, "17"), (0, "0")])
def test_a_document_without_an_id_takes_the_one_in_its_metadata(
    named: object, identifier: str
) -> None:
    document = Document(page_content="text", metadata={"id": named})
    assert Passage.from_document(document) == Passage(id=identifier, text="text")


@pytest.mark.parametrize("metadata", [{}, {"id": None}, {"id": ""}])
def test_a_document_without_any_id_gets_one_from_title_and_text(
    metadata: dict[str, object],
) -> None:
    document = Document(page_content="text", metadata={"title": "T", **metadata})
    assert Passage.from_document(document).id == id_from_content("T", "text")


def test_an_empty_document_id_counts_as_none() -> None:
    passage = Passage.from_document(Document(page_content="text", id=""))
    assert passage.id == id_from_content("", "text")


@pytest.mark.parametrize(("title", "expected"), [(None, ""), ("", ""), (1984, "1984")])
def test_a_documents_title_becomes_text(title: object, expected: str) -> None:
    document = Document(page_content="text", metadata={"title": title})
    assert Passage.from_document(document).title == expected
