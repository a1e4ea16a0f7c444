"""Random filters find the same points in every store."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from rdr_qdrant.client.capabilities import server_address, server_version
from tests.embedded.conftest import compared_with_memory
from tests.embedded.corpus import DIM, MOMENTS, WORDS, id_of, points_of

COUNT = 120
PLAIN_KEYS = ["number", "price", "word", "flag", "tags", "tags[]", "nothing", "absent", "when"]
DEEP_KEYS = ["metadata.source", "metadata.page", "metadata.deep.er", "parts[].kind", "parts[].size"]
keys = st.sampled_from(PLAIN_KEYS + DEEP_KEYS)
words = st.sampled_from([*WORDS, "file-1", "missing"])
numbers = st.integers(-2, 9)
bound = st.none() | st.floats(-6, 9, allow_nan=False, width=32)
moment = st.none() | st.sampled_from(
    [
        datetime(2023, 1, 1, tzinfo=UTC),
        datetime(2023, 6, 15, 10, 30, tzinfo=UTC),
        datetime(2023, 6, 15, 10, 30),
        date(2024, 2, 29),
    ]
)
whole = st.none() | st.integers(0, 3)
texts = st.sampled_from(["quick", "brown quick", "Brown", "red blue", "fo", "", "x"])
matches: st.SearchStrategy[Any] = st.one_of(
    st.builds(models.MatchValue, value=words | numbers | st.booleans()),
    st.builds(models.MatchAny, any=st.lists(words, max_size=3) | st.lists(numbers, max_size=3)),
    st.builds(
        lambda values: models.MatchExcept(**{"except": values}),
        st.lists(words, max_size=3) | st.lists(numbers, max_size=3),
    ),
    st.builds(models.MatchText, text=texts),
    st.builds(models.MatchTextAny, text_any=texts),
    st.builds(models.MatchPhrase, phrase=texts),
)
# Conditions that hit: a field beside values that it has.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "number": numbers,
    "word": words,
    "tags": words,
    "tags[]": words,
    "metadata.source": words,
    "metadata.page": numbers,
    "metadata.deep.er": numbers,
    "parts[].kind": words,
    "parts[].size": numbers,
    "nothing": numbers,
    "nothing[]": numbers,
}


def _hitting(key: str) -> st.SearchStrategy[Any]:
    values = VALUES[key]
    choices: list[st.SearchStrategy[Any]] = [st.builds(models.MatchValue, value=values)]
    if key != "flag":
        several = st.lists(values, min_size=1, max_size=3)
        choices.append(st.builds(models.MatchAny, any=several))
        choices.append(several.map(lambda many: models.MatchExcept(**{"except": many})))
    return st.builds(models.FieldCondition, key=st.just(key), match=st.one_of(choices))


hits = st.sampled_from(sorted(VALUES)).flatmap(_hitting)
point = st.builds(models.GeoPoint, lon=st.floats(-170, 170), lat=st.floats(-80, 80))
fields: st.SearchStrategy[Any] = st.one_of(
    hits,
    hits,
    hits,
    st.builds(models.FieldCondition, key=keys, match=matches),
    st.builds(
        models.FieldCondition,
        key=keys,
        range=st.builds(models.Range, gt=bound, gte=bound, lt=bound, lte=bound),
    ),
    st.builds(
        models.FieldCondition,
        key=st.just("when"),
        range=st.builds(models.DatetimeRange, gt=moment, gte=moment, lt=moment, lte=moment),
    ),
    st.builds(
        models.FieldCondition,
        key=keys,
        values_count=st.builds(models.ValuesCount, gt=whole, gte=whole, lt=whole, lte=whole),
    ),
    st.builds(
        models.FieldCondition,
        key=st.just("place"),
        geo_radius=st.builds(models.GeoRadius, center=point, radius=st.floats(1e5, 8e6)),
    ),
    st.builds(models.IsEmptyCondition, is_empty=st.builds(models.PayloadField, key=keys)),
    st.builds(models.IsNullCondition, is_null=st.builds(models.PayloadField, key=keys)),
    st.builds(models.FieldCondition, key=keys, is_empty=st.booleans()),
    st.builds(models.FieldCondition, key=keys, is_null=st.booleans()),
)
ids = st.lists(st.integers(0, COUNT + 5).map(id_of), max_size=6)
inner = st.builds(
    models.FieldCondition,
    key=st.sampled_from(["kind", "size"]),
    match=st.builds(models.MatchValue, value=words | numbers),
)
nested = st.builds(
    models.NestedCondition,
    nested=st.builds(
        models.Nested,
        key=st.sampled_from(["parts", "parts[]", "tags"]),
        filter=st.builds(
            models.Filter,
            must=st.lists(inner, min_size=1, max_size=2),
            must_not=st.none() | st.lists(inner, min_size=1, max_size=1),
        ),
    ),
)
leaves = st.one_of(fields, st.builds(models.HasIdCondition, has_id=ids), nested)


def _filters(condition: st.SearchStrategy[Any]) -> st.SearchStrategy[models.Filter]:
    clause = st.none() | st.lists(condition, min_size=1, max_size=3)
    return st.builds(
        models.Filter,
        must=clause,
        should=clause,
        must_not=clause,
        min_should=st.none()
        | st.builds(
            models.MinShould,
            conditions=st.lists(condition, min_size=1, max_size=3),
            min_count=st.integers(1, 3),
        ),
    )


filters = _filters(st.recursive(leaves, _filters, max_leaves=4))


@pytest.fixture
def reference() -> Iterator[QdrantClient]:
    return _filled(QdrantClient(":memory:"), "reference")


@pytest.fixture
def filled(client: QdrantClient, name: str) -> QdrantClient:
    return _filled(client, name)


def _filled(client: QdrantClient, name: str) -> QdrantClient:
    client.create_collection(name, models.VectorParams(size=DIM, distance=models.Distance.DOT))
    client.upsert(name, points_of(COUNT))
    return client


def _matching(client: QdrantClient, name: str, chosen: models.Filter) -> list[Any]:
    records, _ = client.scroll(name, scroll_filter=chosen, limit=COUNT, with_payload=False)
    return [record.id for record in records]


def _answered_alike(asked: models.Filter, client: QdrantClient) -> bool:
    """False where a server answers differently by what it is or by its version.

    Over REST a range of dates without a bound cannot be told from one of numbers, and before 1.20 a
    server finds null in an array only through a payload index.
    """
    if server_address(client) is None:
        return True
    sent = asked.model_dump_json(exclude_none=True)
    version = server_version(client) or (0, 0)
    return '"range":{}' not in sent and ("is_null" not in sent or version >= (1, 20))


@compared_with_memory
def test_random_filters_find_the_same_points_in_the_same_order(
    filled: QdrantClient, name: str, reference: QdrantClient
) -> None:
    @given(chosen=filters)
    def check(chosen: models.Filter) -> None:
        assume(_answered_alike(chosen, filled))
        expected = _matching(reference, "reference", chosen)
        assert _matching(filled, name, chosen) == expected
        assert filled.count(name, chosen, exact=True).count == len(expected)

    check()


@compared_with_memory
def test_every_single_condition_finds_the_same_points(
    filled: QdrantClient, name: str, reference: QdrantClient
) -> None:
    @given(condition=leaves)
    def check(condition: Any) -> None:
        chosen = models.Filter(must=condition)
        assume(_answered_alike(chosen, filled))
        assert _matching(filled, name, chosen) == _matching(reference, "reference", chosen)

    check()


@compared_with_memory
def test_filtered_searches_rank_the_same(
    filled: QdrantClient, name: str, reference: QdrantClient
) -> None:
    exact = models.SearchParams(exact=True)

    @given(chosen=filters, i=st.integers(0, 1000))
    def check(chosen: models.Filter, i: int) -> None:
        assume(_answered_alike(chosen, filled))
        vector = (
            points_of(1)[0].vector if i == 0 else [((i * j) % 11) / 7 - 0.7 for j in range(DIM)]
        )
        mine, theirs = (
            one.query_points(where, query=vector, query_filter=chosen, search_params=exact).points
            for one, where in ((filled, name), (reference, "reference"))
        )
        assert [p.id for p in mine] == [p.id for p in theirs]
        assert [p.score for p in mine] == pytest.approx([p.score for p in theirs], abs=1e-4)

    check()


def test_null_in_an_array_is_found(filled: QdrantClient, name: str) -> None:
    is_null = models.IsNullCondition(is_null=models.PayloadField(key="nothing"))
    chosen = models.Filter(must=[is_null])
    if server_address(filled) is None or (server_version(filled) or (0, 0)) >= (1, 20):
        assert len(_matching(filled, name, chosen)) == 2 * COUNT // 5
        return
    assert len(_matching(filled, name, chosen)) == COUNT // 5
    filled.create_payload_index(name, "nothing", models.PayloadSchemaType.INTEGER, wait=True)
    assert len(_matching(filled, name, chosen)) == 2 * COUNT // 5


@pytest.mark.parametrize("flag", [True, False])
def test_booleans_match_booleans_and_not_numbers(
    filled: QdrantClient, name: str, flag: bool
) -> None:
    def matching(key: str, value: bool | int) -> int:
        condition = models.FieldCondition(key=key, match=models.MatchValue(value=value))
        return len(_matching(filled, name, models.Filter(must=condition)))

    assert matching("flag", flag) == COUNT // 2
    assert matching("flag", int(flag)) == matching("metadata.deep.er", flag) == 0


def test_a_single_condition_may_stand_without_a_list(filled: QdrantClient, name: str) -> None:
    condition = models.FieldCondition(key="number", match=models.MatchValue(value=3))
    assert len(_matching(filled, name, models.Filter(must=condition))) == 17


def test_dates_without_a_zone_are_utc(filled: QdrantClient, name: str) -> None:
    assert MOMENTS[1] == "2023-06-15T12:30:00+02:00"
    at = models.DatetimeRange(gte=datetime(2023, 6, 15, 10, 30), lte=datetime(2023, 6, 15, 10, 30))
    chosen = models.Filter(must=models.FieldCondition(key="when", range=at))
    assert len(_matching(filled, name, chosen)) == COUNT // 4
