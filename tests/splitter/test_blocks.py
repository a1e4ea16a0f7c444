"""DPR's blocks of words: exactly the ids and texts that they always had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant import Passage
from rdr_qdrant.errors import UsageError
from rdr_qdrant.splitter import SplitSettings, Splitter

WHITE_SPACE = " \t\n\r\f\v\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"
NOT_WHITE_SPACE = "abcß.,\"'#\u200b\u200d\ufeff\xad\x00\u0301中한😀"

texts = st.text(st.sampled_from(WHITE_SPACE + NOT_WHITE_SPACE), max_size=60)


def split_passage(passage: Passage, words: int) -> Iterator[Passage]:
    return Splitter(SplitSettings(words, "blocks")).split_passage(passage)


def parts(text: str, words: int) -> list[str]:
    return [part.text for part in split_passage(Passage(id="d", text=text), words)]


def test_parts_have_the_number_of_words_and_the_last_has_the_rest() -> None:
    assert parts("one two three four five", 2) == ["one two", "three four", "five"]


def test_a_multiple_of_the_number_leaves_no_empty_part() -> None:
    assert parts("one two three four", 2) == ["one two", "three four"]


def test_a_short_text_is_one_part() -> None:
    assert parts("one two", 100) == ["one two"]


def test_parts_are_numbered_from_one_and_keep_title_and_metadata() -> None:
    whole = Passage(id="doc", text="a b c", title="T", metadata={"source": "s", "n": [1]})
    assert list(split_passage(whole, 2)) == [
        Passage(id="doc#1", text="a b", title="T", metadata={"source": "s", "n": [1]}),
        Passage(id="doc#2", text="c", title="T", metadata={"source": "s", "n": [1]}),
    ]


def test_even_a_single_part_is_numbered() -> None:
    assert [part.id for part in split_passage(Passage(id="7", text="a"), 100)] == ["7#1"]


def test_white_space_inside_a_part_is_kept_and_between_parts_left_out() -> None:
    assert parts("  a\n\n b\t \u3000c  d ", 2) == ["a\n\n b", "c  d"]


@pytest.mark.parametrize("text", ["", " ", "\n\t \u2003"])
def test_a_text_without_a_word_has_no_part(text: str) -> None:
    assert parts(text, 1) == []


def test_a_zero_width_space_does_not_part_words() -> None:
    assert parts("a\u200bb c", 1) == ["a\u200bb", "c"]


@pytest.mark.parametrize("words", [0, -1])
def test_fewer_than_one_word_is_refused(words: int) -> None:
    with pytest.raises(UsageError, match=f"at least 1 word, not {words}"):
        next(split_passage(Passage(id="d", text="a"), words))


def test_the_first_part_needs_no_more_than_its_own_words() -> None:
    long = Passage(id="d", text="word " * 1_000_000)
    assert next(split_passage(long, 3)).text == "word word word"


def test_a_hundred_words_are_a_part_as_in_dpr() -> None:
    text = " ".join(map(str, range(250)))
    assert [len(part.split()) for part in parts(text, 100)] == [100, 100, 50]


@given(texts, st.integers(1, 7))
@settings(deadline=None)
def test_no_word_is_lost_or_moved(text: str, words: int) -> None:
    assert [word for part in parts(text, words) for word in part.split()] == text.split()


@given(texts, st.integers(1, 7))
@settings(deadline=None)
def test_every_part_but_the_last_has_exactly_that_many_words(text: str, words: int) -> None:
    sizes = [len(part.split()) for part in parts(text, words)]
    assert all(size == words for size in sizes[:-1])
    assert all(1 <= size <= words for size in sizes[-1:])


@given(texts, st.integers(1, 7))
@settings(deadline=None)
def test_parts_are_stretches_of_the_text_with_only_white_space_between(
    text: str, words: int
) -> None:
    rest = text
    for part in parts(text, words):
        between, _, rest = rest.partition(part)
        assert not between.strip()
        assert part == part.strip()
    assert not rest.strip()
