"""The three forms of points say the same."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from rdr_qdrant.collection import Point
from rdr_qdrant.collection.point_encoding import to_json, to_message, to_structs

UUID = "4bf5e7a6-0a1e-4a5c-9a2c-6a1e4bf5e7a6"
SPARSE = models.SparseVector(indices=[7, 4_294_967_295, 1], values=[0.5, 0.25, 1.5])
PAYLOAD: dict[str, Any] = {
    "page_content": 'Zoë said "yes"\n\u2028 \U0001f600',
    "metadata": {
        "id": "1",
        "none": None,
        "empty": {},
        "flags": [True, False, [], {}],
        "numbers": [0, -(2**63), 2**63 - 1, 0.1, 1e300, -0.0],
        "": {"deep": {"deeper": ["x", 1]}},
    },
    "content_hash": "0" * 64,
}


def points(kind: str) -> list[Point]:
    vectors = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    vectors[0, :4] = 0.1, 3.4028235e38, 1e-45, -0.0
    options: dict[str, Any] = {"sparse": SPARSE} if "sparse" in kind else {}
    if "others" in kind:
        options["other_vectors"] = {
            "image": [1.0, 2.0],
            "words": models.SparseVector(indices=[3], values=[2.0]),
            "late": [[1.0, 2.0], [3.0, 4.0]],
        }
    ids = [0, 2**64 - 1, UUID]
    return [Point(i, v, PAYLOAD, **options) for i, v in zip(ids, vectors, strict=True)]


@pytest.mark.parametrize("name", ["", "text"])
@pytest.mark.parametrize("kind", ["dense", "sparse", "others", "sparse and others"])
def test_json_and_protobuf_say_what_qdrant_client_makes_of_the_models(kind: str, name: str) -> None:
    sent = points(kind)
    structs = to_structs(sent, name, arrays=False)
    expected = grpc.UpsertPoints(
        collection_name="c",
        wait=True,
        points=[RestToGrpc.convert_point_struct(one) for one in structs],
    )
    message, bytes_at_most = to_message(sent, name, "c")
    assert message == expected
    assert message.ByteSize() <= bytes_at_most
    body = json.loads(to_json(sent, name))
    assert [*body] == ["points"]
    read = [models.PointStruct(**one) for one in body["points"]]
    assert [one.id for one in read] == [0, 2**64 - 1, UUID]
    assert [one.payload for one in read] == [PAYLOAD] * 3
    for one, point, struct in zip(read, sent, structs, strict=True):
        vectors = one.vector if isinstance(one.vector, dict) else {"": one.vector}
        dense = np.array(vectors.pop(name), dtype=np.float32)
        assert dense.tobytes() == point.vector.tobytes()
        others = dict(struct.vector) if isinstance(struct.vector, dict) else {"": 0}
        others.pop(name)
        assert vectors == others


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda values: st.lists(values) | st.dictionaries(st.text(max_size=5), values),
        ),
    ),
    st.integers(0, 2**64 - 1) | st.just(UUID),
)
def test_a_message_is_not_larger_than_it_says(payload: dict[str, Any], point_id: int | str) -> None:
    message, bytes_at_most = to_message([Point(point_id, np.ones(3, np.float32), payload)], "", "c")
    assert message.ByteSize() <= bytes_at_most


def test_what_it_says_is_not_far_off_for_a_text() -> None:
    text = {"page_content": "x" * 1000, "metadata": {"id": "1", "title": "t"}, "content_hash": "0"}
    sent = [Point(n, np.ones(768, np.float32), text) for n in range(100)]
    message, bytes_at_most = to_message(sent, "", "c")
    assert bytes_at_most < 2.5 * message.ByteSize()


def test_an_integer_beyond_63_bits_only_json_can_hold() -> None:
    point = Point(1, np.ones(2, dtype=np.float32), {"metadata": {"big": 2**64 - 1}})
    assert b'"big":18446744073709551615' in to_json([point], "")
    with pytest.raises(ValueError, match="range"):
        to_message([point], "", "c")
