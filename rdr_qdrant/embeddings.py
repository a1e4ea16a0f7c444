"""RDR's two encoders behind LangChain's `Embeddings` interface."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from rdr_qdrant.encoding import Encoded, EncodedBatch, Encoder, FloatArray, Side
from rdr_qdrant.encoding.device import Precision
from rdr_qdrant.encoding.encoder_cache import KnownEncoder, note_of, recall, remember
from rdr_qdrant.encoding.tokenizer import EncoderInput, Tokens, passage_input, question_input
from rdr_qdrant.errors import ModelError
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import (
    DEFAULT_MAX_LENGTH,
    DEMO_MODEL,
    PASSAGE_FORMAT,
    EncoderPair,
    PairIdentity,
    resolve_pair,
)

logger = logging.getLogger(__name__)

PROBE_PASSAGE = Passage(
    id="probe",
    title="Probe",
    text="The quick brown fox jumps over the lazy dog near the river bank, as 27 witnesses saw.",
)
PROBE_QUESTION = "Who saw the quick brown fox jump over the lazy dog?"
"""Both are fixed for ever: their vectors are kept with every collection."""

RECENT_QUESTIONS = 1024
"""Questions whose vectors are kept: 3 MB at 768 numbers."""


class RDREmbeddings(BaseModel, Embeddings):
    """The Reader-Distilled Retriever (Yang and Seo 2020, arXiv 2010.10999) for LangChain.

    Passages go through the context encoder, questions through the question encoder of the same
    pair. Vectors are the encoders' own: `[CLS]`, float32, not normalised, to be compared by inner
    product (`Distance.DOT`).

    Setup:
        `pip install rdr-qdrant`

    Key init args:
        model: a named pair (`rdr-qdrant models` lists them); by default `rdr-single-trivia`.
        context_encoder, question_encoder: instead of a name, two hub ids or folders.
        revision: branch, tag or commit of both, where they are hub ids.
        max_length: most tokens of one input, special tokens included; a longer one is cut.
        device: `auto` (cuda, else mps, else cpu) or a device of torch.
        precision: `auto` (fp32 on a CPU, fp16 on a GPU), `fp32`, `bf16`, `fp16`, or `int8` on a
            CPU (`pip install 'rdr-qdrant[int8]'`). Vectors are float32 in any case.

    Instantiate:
        >>> from rdr_qdrant import RDREmbeddings
        >>> embeddings = RDREmbeddings(model="demo")

    Embed:
        >>> vector = embeddings.embed_query("Who wrote Faust?")
        >>> vectors = embeddings.embed_documents(["Goethe wrote Faust.", "The Rhine is a river."])

    The encoders are loaded on first use, or by `warm_up()`. One instance may be used by many
    threads; the async methods run in a thread and do not block the event loop.

    Raises:
        ModelError: an unknown model, half a pair, or (on first use) an encoder that cannot be
            loaded or is not what its place needs.
    """

    model: str | None = None
    context_encoder: str | None = None
    question_encoder: str | None = None
    revision: str | None = None
    max_length: int = Field(default=DEFAULT_MAX_LENGTH, ge=8)
    device: str = "auto"
    precision: Precision = "auto"

    model_config = ConfigDict(extra="forbid", frozen=True)

    _pair: EncoderPair = PrivateAttr()
    _encoders: dict[Side, Encoder] = PrivateAttr(default_factory=dict)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _recent: Callable[[str], FloatArray] = PrivateAttr()

    @model_validator(mode="after")
    def _resolve(self) -> RDREmbeddings:
        self._pair = resolve_pair(
            self.model,
            context_encoder=self.context_encoder,
            question_encoder=self.question_encoder,
        )
        if self._pair.name is not None:
            object.__setattr__(self, "model", self._pair.name)
        self._recent = lru_cache(RECENT_QUESTIONS)(self._encode_question)
        return self

    # LangChain's interface

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages without titles, in their order."""
        return _as_lists(self._encode(Side.CONTEXT, [passage_input("", text) for text in texts]))

    def embed_query(self, text: str) -> list[float]:
        """The vector of one question; those of the last 1,024 questions are kept."""
        vector: list[float] = self._recent(question_input(text)).tolist()
        return vector

    # The same with titles and without lists

    def encode_passages(self, passages: Sequence[Passage]) -> FloatArray:
        """Vectors of passages, float32 [n, dim], in their order."""
        return _warn_of_cuts(self.encode_passages_counted(passages))

    def encode_questions(self, questions: Sequence[str]) -> FloatArray:
        """Vectors of questions, float32 [n, dim], in their order."""
        if len(questions) == 1:
            return self._recent(question_input(questions[0]))[None].copy()
        inputs: list[EncoderInput] = [question_input(text) for text in questions]
        return self._encode(Side.QUESTION, inputs).vectors

    def encode_passages_counted(self, passages: Sequence[Passage]) -> Encoded:
        """`encode_passages` that also tells which passages were cut to `max_length`."""
        return self._encode(Side.CONTEXT, _inputs(passages))

    # The same in two halves, for those who do several things at once

    def tokenize_passages(self, passages: Sequence[Passage]) -> Tokens:
        """Token ids of passages, for `encode_batches`."""
        return self._encoder(Side.CONTEXT).tokenize(_inputs(passages))

    def encode_batches(self, tokens: Tokens) -> Iterator[EncodedBatch]:
        """Vectors of passages, a batch at a time as they are ready, the longest first."""
        return self._encoder(Side.CONTEXT).batches(tokens)

    def encoder(self, side: Side) -> Encoder:
        """One of the two encoders, loaded."""
        return self._encoder(side)

    # What a collection needs to know

    @property
    def pair(self) -> EncoderPair:
        """The pair in use, with its published figures."""
        return self._pair

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._encoder(Side.CONTEXT).dimension

    def fingerprint(self) -> str:
        """What a stored passage vector depends on besides the passage, for its content hash.

        The weights, the most tokens and the passage format; not the path or name of the encoder.
        An encoder that was loaded here before, and whose files are unchanged, is not loaded for it.
        """
        digest = self._known(Side.CONTEXT).weights_digest
        return f"{digest}\n{self.max_length}\n{PASSAGE_FORMAT}"

    def identity(self, *sides: Side) -> PairIdentity:
        """What a collection remembers of this pair, with probes of these sides (default both)."""
        sides = sides or tuple(Side)
        known = {side: self._known(side) for side in sides}
        probes = {side: one.probe for side, one in known.items()}
        return PairIdentity(
            label=self._pair.label,
            context_encoder=self._pair.context_encoder,
            question_encoder=self._pair.question_encoder,
            dimension=len(next(iter(probes.values()))),
            max_length=self.max_length,
            passage_format=PASSAGE_FORMAT,
            probe=probes.get(Side.CONTEXT, ()),
            question_probe=probes.get(Side.QUESTION, ()),
            revision=self.revision,
            precision=next(iter(known.values())).precision,
        )

    def warm_up(self, *sides: Side) -> None:
        """Load the encoders of the named sides (default both) and run each on short texts.

        The first question after it takes no longer than the tenth.
        """
        for side in sides or tuple(Side):
            self._probe(side)
            self._encode(side, [" ".join([PROBE_QUESTION] * 2)])

    def _known(self, side: Side) -> KnownEncoder:
        """The digest and the probe of one encoder, which is loaded only where they are not known.

        An encoder that is loaded is asked itself.
        """
        location = self._location(side)
        note = note_of(
            side,
            location,
            revision=self.revision,
            max_length=self.max_length,
            precision=f"{self.precision} on {self.device}",
        )
        known = None if side in self._encoders else recall(note)
        if known is None:
            probe = _rounded(self._probe(side))
            encoder = self._encoder(side)
            known = KnownEncoder(encoder.weights_digest, encoder.precision, probe)
            remember(note, known)
        return known

    def _probe(self, side: Side) -> FloatArray:
        if side is Side.CONTEXT:
            vectors = self.encode_passages([PROBE_PASSAGE])
        else:
            vectors = self.encode_questions([PROBE_QUESTION])
        return vectors.reshape(-1)

    def _encode_question(self, question: str) -> FloatArray:
        return _warn_of_cuts(self._encode(Side.QUESTION, [question])).reshape(-1)

    def _encode(self, side: Side, inputs: list[EncoderInput]) -> Encoded:
        return self._encoder(side).encode(inputs)

    def _encoder(self, side: Side) -> Encoder:
        with self._lock:
            if side not in self._encoders:
                self._encoders[side] = Encoder(
                    side,
                    self._location(side),
                    max_length=self.max_length,
                    device=self.device,
                    precision=self.precision,
                    revision=self.revision,
                )
                if len(self._encoders) == len(Side):
                    self._check_pair()
            return self._encoders[side]

    def _location(self, side: Side) -> str:
        if self._pair.name == DEMO_MODEL:
            from rdr_qdrant.encoding.demo_model import demo_encoder

            return str(demo_encoder(side))
        if side is Side.CONTEXT:
            return self._pair.context_encoder
        return self._pair.question_encoder

    def _check_pair(self) -> None:
        """Refuse two encoders that cannot have been trained together."""
        context, question = (self._encoders[side] for side in Side)
        if context.dimension != question.dimension:
            difference = (
                f"the context encoder makes vectors of {context.dimension} numbers, the question "
                f"encoder of {question.dimension}"
            )
        elif context.vocabulary() != question.vocabulary():
            difference = (
                f"the vocabulary of the context encoder ({len(context.vocabulary()):,} tokens) is "
                f"not that of the question encoder ({len(question.vocabulary()):,})"
            )
        else:
            return
        self._encoders.clear()
        raise ModelError(
            f"The encoders of {self._pair.label} do not belong together: {difference}. "
            "Name both encoders of one pair."
        )


def _inputs(passages: Sequence[Passage]) -> list[EncoderInput]:
    return [passage_input(passage.title, passage.text) for passage in passages]


def _as_lists(encoded: Encoded) -> list[list[float]]:
    lists: list[list[float]] = _warn_of_cuts(encoded).tolist()
    return lists


def _warn_of_cuts(encoded: Encoded) -> FloatArray:
    if cut := sum(encoded.truncated):
        logger.warning(
            "%d of %d texts were longer than max_length and were cut; "
            "split them into shorter passages to keep all of them searchable",
            cut,
            len(encoded.truncated),
        )
    return encoded.vectors


def _rounded(vector: FloatArray) -> tuple[float, ...]:
    """To 5 significant digits: a few kilobytes of JSON, far finer than any two encoders differ."""
    return tuple(float(np.format_float_scientific(x, precision=4)) for x in vector)
