"""`Splitter`: the parts of a text, and the passages made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from rdr_qdrant.errors import UsageError
from rdr_qdrant.passages import Passage
from rdr_qdrant.splitter.blocks import word_block_spans
from rdr_qdrant.splitter.packing import Level, Limits, PackedPart, Unit, Units, pack_units
from rdr_qdrant.splitter.sentences import sentence_spans
from rdr_qdrant.splitter.structure import Block

SplitBy = Literal["sentences", "blocks"]
DEFAULT_WORDS: dict[str, int] = {"sentences": 120, "blocks": 100}
"""Words of a document's passages by default; `benchmarks/splitting.py` shows why. DPR had 100."""


class TokenCounting(Protocol):
    """Counts tokens as an encoder does."""

    def count(self, words: Sequence[str]) -> int:
        """The tokens of some whitespace-separated words."""

    def text_budget(self, title: str) -> int:
        """The most tokens that a text beside this title may have."""


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How texts are split.

    Attributes:
        words: words of a part. Whole sentences are packed up to it; a rest under half of it is
            joined to the part before, which then holds up to half as many again.
        by: `sentences`, or `blocks` of exactly that many words, as DPR split Wikipedia.
        overlap: each part begins with up to that many words of whole sentences of the one before.

    Raises:
        UsageError: a number is out of its range, or blocks are to overlap.
    """

    words: int = DEFAULT_WORDS["sentences"]
    by: SplitBy = "sentences"
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.words < 1:
            raise UsageError(f"--split (split) must be at least 1 word, not {self.words}.")
        if self.by not in ("sentences", "blocks"):
            raise UsageError(f"--split-by (split_by) must be sentences or blocks, not {self.by!r}.")
        if self.by == "blocks" and self.overlap:
            raise UsageError("Blocks of words do not overlap: leave out --overlap (overlap).")
        if not 0 <= self.overlap <= self.words // 2:
            raise UsageError(
                f"--overlap (overlap) must be from 0 to {self.words // 2}, half of --split "
                f"(split), not {self.overlap}."
            )

    def __str__(self) -> str:
        if self.by == "blocks":
            return f"blocks of {self.words} words"
        overlap = f", overlapping by up to {self.overlap}" if self.overlap else ""
        return f"whole sentences up to {self.words} words{overlap}"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text: `text[start:end]`.

    Attributes:
        start: its first character.
        end: the character after its last.
        overlap: characters at its beginning that repeat the end of the part before.
    """

    start: int
    end: int
    overlap: int = 0


class Splitter:
    """Splits texts as its settings say, the same on every machine.

    Args:
        settings: see `SplitSettings`.
        tokens: counts the encoder's tokens, so that no part is truncated; `None` counts words
            alone. Blocks are never shortened.
    """

    def __init__(self, settings: SplitSettings, tokens: TokenCounting | None = None) -> None:
        self.settings = settings
        self._tokens = tokens

    def parts(self, text: str, title: str = "", blocks: Sequence[Block] = ()) -> Iterator[TextPart]:
        """Yield the parts of a text in their order; together they hold all but white space.

        Args:
            text: the text.
            title: counts towards the tokens of each part.
            blocks: headings, paragraphs and items; without any, the text is paragraphs.
        """
        if self.settings.by == "blocks":
            for start, end in word_block_spans(text, self.settings.words):
                yield TextPart(start, end)
            return
        limit = self._tokens.text_budget(title) if self._tokens else None
        limits = Limits(self.settings.words, limit)
        units = Units(text, self._tokens.count if self._tokens else len)
        previous: PackedPart | None = None
        for part in pack_units(_units_of(text, blocks, units), limits, units.divide):
            core, end = part.units[0].start, part.units[-1].end
            start = self._overlap_start(previous, part, limits) if previous else core
            yield TextPart(start, end, core - start)
            previous = part

    def split_passage(self, passage: Passage) -> Iterator[Passage]:
        """Yield the parts of a passage as passages with the ids `ID#1`, `ID#2` and so on.

        They keep title and metadata; of a part that repeats the end of the one before,
        `metadata["overlap"]` is the number of characters that it repeats.
        """
        for number, part in enumerate(self.parts(passage.text, passage.title), start=1):
            metadata: Mapping[str, Any] = passage.metadata
            if part.overlap:
                metadata = {**metadata, OVERLAP_KEY: part.overlap}
            text = passage.text[part.start : part.end]
            yield replace(passage, id=part_id(passage.id, number), text=text, metadata=metadata)

    def _overlap_start(self, previous: PackedPart, part: PackedPart, limits: Limits) -> int:
        """The start of a part that repeats as many whole sentences as it may."""
        start, words, tokens = part.units[0].start, 0, part.tokens
        for unit in reversed(previous.units):
            words += unit.words
            tokens += unit.tokens
            too_long = limits.tokens is not None and tokens > limits.tokens
            if unit.level > Level.SENTENCE or words > self.settings.overlap or too_long:
                break
            start = unit.start
        return start


OVERLAP_KEY = "overlap"
_PART_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def part_id(text_id: str, number: int) -> str:
    """The id of a part of a text, from 1."""
    return f"{text_id}#{number}"


def text_and_number(passage_id: str) -> tuple[str, int] | None:
    """The text's id and the number, of the id of a part; `None` of any other id."""
    text_id, mark, number = passage_id.rpartition("#")
    if not mark or not _PART_NUMBER.fullmatch(number):
        return None
    return text_id, int(number)


def _units_of(text: str, blocks: Sequence[Block], units: Units) -> Iterator[Unit]:
    """Sentences, items and headings in their order; text outside all blocks is sentences."""
    position = 0
    for block in [*blocks, Block("paragraph", len(text), len(text))]:
        yield from _sentences(text, position, block.start, units)
        if block.kind == "paragraph":
            yield from _sentences(text, block.start, block.end, units)
        elif block.start < block.end:
            heading = block.kind == "heading"
            yield units.unit(block.start, block.end, Level.ITEM, heading=heading)
        position = block.end


def _sentences(text: str, start: int, end: int, units: Units) -> Iterator[Unit]:
    for first, last in sentence_spans(text, start, end):
        yield units.unit(first, last, Level.SENTENCE)
