"""Whole sentences packed into parts: nothing lost, none over the limits, no scraps."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.errors import UsageError
from rdr_qdrant.splitter import Block, SplitSettings, Splitter, TextPart, text_and_number

LETTERS = {
    "latin": ("abcdefgh", " ", ". "),
    "greek": ("αβγδεζηθ", " ", ". "),
    "cyrillic": ("абвгдежз", " ", "! "),
    "arabic": ("ابتثجحخد", " ", "؟ "),
    "hebrew": ("אבגדהוזח", " ", ". "),
    "devanagari": ("कखगघचछजझ", " ", "। "),
    "chinese": ("他去了北京天气", "", "。"),
    "japanese": ("かきくけこさしす", "", "。"),
    "korean": ("가나다라마바사아", " ", ". "),
    "thai": ("กขคงจฉชซ", "", " "),
    "ethiopic": ("ሀለሐመሠረሰሸ", " ", "። "),
    "emoji": ("😀😁😂🤣é\u0301", " ", "!\n"),
}


class CharacterTokens:
    """A token for each character; titles take theirs."""

    def __init__(self, most: int) -> None:
        self.most = most

    def count(self, words: Sequence[str]) -> int:
        return sum(map(len, words))

    def text_budget(self, title: str) -> int:
        return self.most - len(title)


def random_text(script: str, choice: random.Random) -> str:
    letters, space, end = LETTERS[script]
    pieces = []
    for _ in range(choice.randrange(40)):
        words = choice.choice((1, 3, 8, 20, 60))
        for _ in range(choice.randrange(1, words + 1)):
            pieces.append("".join(choice.choices(letters, k=choice.choice((1, 4, 9)))))
            pieces.append(choice.choice((space, space, space, ", ", " (")))
        pieces[-1] = choice.choice((end, end, end, "\n\n", "\n", "; "))
    return "".join(pieces)


def texts_of(parts: Sequence[TextPart], text: str) -> list[str]:
    return [text[part.start : part.end] for part in parts]


@given(
    script=st.sampled_from(sorted(LETTERS)),
    seed=st.integers(0, 2**32),
    words=st.integers(2, 40),
    tokens=st.one_of(st.none(), st.integers(30, 300)),
)
@settings(deadline=None, max_examples=400)
def test_nothing_is_lost_and_no_part_is_over_a_limit_or_a_scrap(
    script: str, seed: int, words: int, tokens: int | None
) -> None:
    text = random_text(script, random.Random(seed))
    counter = CharacterTokens(tokens) if tokens else None
    splitter = Splitter(SplitSettings(words), counter)
    parts = list(splitter.parts(text))
    position = 0
    for part in parts:
        assert not text[position : part.start].strip()
        assert text[part.start : part.end] == text[part.start : part.end].strip() != ""
        position = part.end
    assert not text[position:].strip()
    for one in texts_of(parts, text):
        assert len(one.split()) <= 1.5 * words
        if counter and tokens:
            assert counter.count(one.split()) <= tokens
        if len(parts) > 1:
            share = len(one.split()) / words
            if counter and tokens:  # a text without spaces has few words
                share = max(share, counter.count(one.split()) / tokens)
            assert share >= 0.5 - (17 / tokens if tokens else 0.0)
    assert list(splitter.parts(text)) == parts
    assert list(pickle.loads(pickle.dumps(splitter)).parts(text)) == parts


def test_whole_sentences_are_packed_and_the_last_few_words_are_joined() -> None:
    text = "One two three. Four five six. Seven eight nine ten. Eleven."
    splitter = Splitter(SplitSettings(7))
    assert texts_of(list(splitter.parts(text)), text) == [
        "One two three. Four five six.",
        "Seven eight nine ten. Eleven.",
    ]
    assert texts_of(list(Splitter(SplitSettings(10)).parts(text)), text) == [text]


def test_a_long_sentence_is_cut_at_a_clause_else_at_a_line_end_else_at_a_word() -> None:
    splitter = Splitter(SplitSettings(6))
    text = "One two three four, five six seven eight, nine ten eleven twelve."
    assert texts_of(list(splitter.parts(text)), text) == [
        "One two three four,",
        "five six seven eight,",
        "nine ten eleven twelve.",
    ]
    text = "a b c d\ne f g\nh i j k\n l m n"
    assert texts_of(list(splitter.parts(text)), text) == ["a b c d", "e f g", "h i j k", "l m n"]
    text = "a b c d e f g h i j k l"
    assert texts_of(list(splitter.parts(text)), text) == ["a b c d e f", "g h i j k l"]


def test_a_heading_begins_a_part_and_never_ends_one() -> None:
    text = "One two three four. Head Five six seven. Deep Eight nine ten eleven."
    blocks = [
        Block("heading", text.index(word), text.index(word) + len(word))
        for word in ("Head", "Deep")
    ]
    found = texts_of(list(Splitter(SplitSettings(8)).parts(text, blocks=blocks)), text)
    assert found == [
        "One two three four.",
        "Head Five six seven.",
        "Deep Eight nine ten eleven.",
    ]
    found = texts_of(list(Splitter(SplitSettings(9)).parts(text, blocks=blocks)), text)
    assert found == ["One two three four. Head Five six seven. Deep Eight nine ten eleven."] or all(
        not one.endswith(("Head", "Deep")) for one in found
    )


def test_an_item_is_not_torn_where_it_fits() -> None:
    items = ["One two. Three four.", "Five six. Seven eight.", "Nine. Ten. Eleven twelve."]
    text = "\n".join(items)
    blocks = [Block("item", text.index(one), text.index(one) + len(one)) for one in items]
    assert texts_of(list(Splitter(SplitSettings(6)).parts(text, blocks=blocks)), text) == items


def test_parts_overlap_by_whole_sentences() -> None:
    text = "One two three. Four five. Six seven eight. Nine ten. Eleven twelve thirteen. Fourteen."
    parts = list(Splitter(SplitSettings(5, overlap=2)).parts(text))
    assert texts_of(parts, text) == [
        "One two three. Four five.",
        "Four five. Six seven eight. Nine ten.",
        "Nine ten. Eleven twelve thirteen. Fourteen.",
    ]
    assert [text[one.start : one.start + one.overlap] for one in parts] == [
        "",
        "Four five. ",
        "Nine ten. ",
    ]
    plain = list(Splitter(SplitSettings(5)).parts(text))
    assert [(one.start + one.overlap, one.end) for one in parts] == [
        (one.start, one.end) for one in plain
    ]


def test_an_overlap_never_truncates() -> None:
    text = "One two three. Four five. Six seven eight. Nine ten."
    limited = Splitter(SplitSettings(5, overlap=2), CharacterTokens(28))
    assert [one.overlap for one in limited.parts(text)] == [0, 0]


def test_parts_of_a_passage_say_what_they_repeat() -> None:
    passage = Passage("a", "One two three. Four five. Six seven eight.", "T", {"year": 1})
    found = list(Splitter(SplitSettings(5, overlap=2)).split_passage(passage))
    assert found == [
        Passage("a#1", "One two three. Four five.", "T", {"year": 1}),
        Passage("a#2", "Four five. Six seven eight.", "T", {"year": 1, "overlap": 11}),
    ]


def test_no_part_is_truncated_by_the_encoder(tiny: RDREmbeddings) -> None:
    short = RDREmbeddings(
        context_encoder=tiny.context_encoder, question_encoder=tiny.question_encoder, max_length=32
    )
    splitter = Splitter(SplitSettings(100), short.token_counter())
    choice = random.Random(0)
    for script in LETTERS:
        text = random_text(script, choice)[:500] + " " + "x" * 300 + " unaffable" * 9
        for title in ("A title", "a very long title " * 9):
            passages = [*splitter.split_passage(Passage("a", text, title))]
            assert "".join("".join(one.text.split()) for one in passages) == "".join(text.split())
            if len(title) < 20:
                assert not any(short.encode_passages_counted(passages).truncated), (script, title)


def test_its_tokens_are_those_of_the_tokenizer(tiny: RDREmbeddings) -> None:
    counter = tiny.token_counter()
    choice = random.Random(1)
    for script in LETTERS:
        text = random_text(script, choice) + " Don't re-do 3.14 U.S. e\u0301 naïve\u200b x\xady"
        exact = int(tiny.tokenize_passages([Passage("a", text[:200])]).result().ids.lengths[0]) - 2
        assert counter.count(text[:200].split()) == exact


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"words": 0}, "at least 1 word, not 0"),
        ({"by": "pages"}, "must be sentences or blocks, not 'pages'"),
        ({"by": "blocks", "overlap": 5}, "Blocks of words do not overlap"),
        ({"words": 10, "overlap": 6}, "from 0 to 5, half of"),
        ({"overlap": -1}, "from 0 to 60"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SplitSettings(**options)  # type: ignore[arg-type]


def test_a_number_too_long_to_read_is_no_number_of_a_part() -> None:
    assert text_and_number("a#b#12") == ("a#b", 12)
    for passage_id in ("a#" + "1" * 5000, "a#0", "a#01", "a#١", "a#", "a"):
        assert text_and_number(passage_id) is None
