"""The named pairs of encoders, and the identity of its pair that a collection stores."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rdr_qdrant.errors import ModelError

DEFAULT_MODEL = "rdr-single-trivia"
DEMO_MODEL = "demo"

RECALL_AT = (1, 5, 20, 50, 100)
"""Depths k at which the model cards publish answer recall."""

PUBLISHED_QUESTIONS = {"trivia-dev": 8837, "trivia-test": 11313, "nq-dev": 8757, "nq-test": 3610}
"""Data sets of the published figures, with their numbers of questions (DPR, table 1)."""

DEFAULT_MAX_LENGTH = 256
"""Maximum number of tokens of an input, special ones included (DPR: `encoder.sequence_length`)."""

PASSAGE_FORMAT = "[CLS] title [SEP] text [SEP]"
"""Input format of the context encoder; `[CLS] text [SEP]` for a passage without a title."""


@dataclass(frozen=True, slots=True)
class EncoderPair:
    """A context encoder and the question encoder that was trained with it.

    Attributes:
        name: value of `--model`, or `None` for a pair given as two ids or folders.
        context_encoder: hub id or folder of the passage encoder.
        question_encoder: hub id or folder of the question encoder.
        about: description in one line.
        published: the model card's answer recall in percent, by data set (`trivia-dev`,
            `trivia-test`, `nq-dev`, `nq-test`) and then by k.
        baseline: name of the pair that the card compares it with, or `None`.
    """

    name: str | None
    context_encoder: str
    question_encoder: str
    about: str = ""
    published: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    baseline: str | None = None

    @property
    def label(self) -> str:
        """The name, or both ids if it has none."""
        return self.name or f"{self.context_encoder} + {self.question_encoder}"


def _row(*values: float | None) -> dict[int, float]:
    return {k: v for k, v in zip(RECALL_AT, values, strict=True) if v is not None}


PAIRS: Mapping[str, EncoderPair] = {
    pair.name: pair
    for pair in (
        EncoderPair(
            name="rdr-single-trivia",
            context_encoder="soheeyang/rdr-ctx_encoder-single-trivia-base",
            question_encoder="soheeyang/rdr-question_encoder-single-trivia-base",
            about="RDR, distilled from a reader on TriviaQA (the default)",
            published={
                "trivia-dev": _row(61.84, 75.93, 82.56, 85.35, 87.00),
                "trivia-test": _row(62.56, 75.92, 82.52, 85.64, 87.26),
            },
            baseline="dpr-single-trivia",
        ),
        EncoderPair(
            name="rdr-single-nq",
            context_encoder="soheeyang/rdr-ctx_encoder-single-nq-base",
            question_encoder="soheeyang/rdr-question_encoder-single-nq-base",
            about="RDR, distilled from a reader on Natural Questions",
            published={
                "nq-dev": _row(54.43, 72.17, 81.33, 84.8, 86.61),
                "nq-test": _row(54.29, 72.16, 82.8, 86.34, 88.2),
            },
            baseline="dpr-single-nq",
        ),
        EncoderPair(
            name="dpr-single-trivia",
            context_encoder="soheeyang/dpr-ctx_encoder-single-trivia-base",
            question_encoder="soheeyang/dpr-question_encoder-single-trivia-base",
            about="DPR on TriviaQA, the baseline of rdr-single-trivia",
            published={
                "trivia-dev": _row(54.27, 71.11, 79.53, 82.72, 85.07),
                "trivia-test": _row(54.41, 70.99, 79.31, 82.90, 84.99),
            },
        ),
        EncoderPair(
            name="dpr-single-nq",
            context_encoder="facebook/dpr-ctx_encoder-single-nq-base",
            question_encoder="facebook/dpr-question_encoder-single-nq-base",
            about="DPR on Natural Questions, the baseline of rdr-single-nq",
            published={"nq-test": _row(45.87, 68.14, 79.97, None, 85.87)},
        ),
        EncoderPair(
            name="dpr-multiset",
            context_encoder="facebook/dpr-ctx_encoder-multiset-base",
            question_encoder="facebook/dpr-question_encoder-multiset-base",
            about="DPR on NQ, TriviaQA, WebQuestions and CuratedTREC together",
        ),
        EncoderPair(
            name=DEMO_MODEL,
            context_encoder="demo",
            question_encoder="demo",
            about="small English pair built on the spot from all-MiniLM-L6-v2; needs no hub",
        ),
    )
    if pair.name is not None
}


def resolve_pair(
    model: str | None = None,
    *,
    context_encoder: str | None = None,
    question_encoder: str | None = None,
) -> EncoderPair:
    """Return the pair of a name, or of two hub ids or folders; by default `DEFAULT_MODEL`.

    Raises:
        ModelError: the name is unknown, one encoder is missing, or a name and encoders are given.
    """
    if context_encoder or question_encoder:
        if not (context_encoder and question_encoder):
            given, missing = (
                (f"context encoder {context_encoder}", "question encoder")
                if context_encoder
                else (f"question encoder {question_encoder}", "context encoder")
            )
            raise ModelError(
                f"The {given} was given without a {missing}: "
                "passages and questions need two different encoders. Name both."
            )
        if model is not None:
            raise ModelError(
                f"Both the model {model} and a pair of encoders were given "
                f"({context_encoder}, {question_encoder}): leave one of them out."
            )
        return EncoderPair(None, context_encoder, question_encoder)
    name = model or DEFAULT_MODEL
    try:
        return PAIRS[name]
    except KeyError:
        close = difflib.get_close_matches(name.lower(), PAIRS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ModelError(
            f"Unknown model {name!r}.{hint} Known: {', '.join(PAIRS)}; "
            "name any other pair by its context encoder and its question encoder."
        ) from None


@dataclass(frozen=True, slots=True)
class PairIdentity:
    """Identity of an encoder pair, to check that it belongs to a collection's vectors.

    Attributes:
        label: name of the pair, or both ids (for messages, not compared).
        context_encoder: hub id or folder of the context encoder (for messages, not compared).
        question_encoder: hub id or folder of the question encoder (for messages, not compared).
        dimension: length of a vector.
        max_length: maximum number of tokens of an input.
        passage_format: how title and text are combined.
        probe: vector of a fixed passage, rounded to 5 significant digits.
        question_probe: vector of a fixed question, likewise, so that a searcher can check its
            question encoder without loading the context encoder.
        revision: branch, tag or commit of both, if given (for messages, not compared).
        precision: precision of the encoders (for messages; probes hardly depend on it).
    """

    label: str
    context_encoder: str
    question_encoder: str
    dimension: int
    max_length: int
    passage_format: str
    probe: tuple[float, ...]
    question_probe: tuple[float, ...]
    revision: str | None = None
    precision: str = "fp32"

    @property
    def name(self) -> str:
        """The label, with the revision if there is one."""
        return f"{self.label}@{self.revision}" if self.revision else self.label

    def to_metadata(self) -> dict[str, Any]:
        """Return the JSON form that is stored in the collection's metadata."""
        return {
            "model": self.label,
            "context_encoder": self.context_encoder,
            "question_encoder": self.question_encoder,
            "revision": self.revision,
            "precision": self.precision,
            "dimension": self.dimension,
            "max_length": self.max_length,
            "passage_format": self.passage_format,
            "probe": list(self.probe),
            "question_probe": list(self.question_probe),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> PairIdentity:
        """Read what `to_metadata` returned.

        Raises:
            ValueError, KeyError, TypeError: `metadata` has another form.
        """
        revision = metadata["revision"]
        return cls(
            label=str(metadata["model"]),
            context_encoder=str(metadata["context_encoder"]),
            question_encoder=str(metadata["question_encoder"]),
            dimension=int(metadata["dimension"]),
            max_length=int(metadata["max_length"]),
            passage_format=str(metadata["passage_format"]),
            probe=tuple(map(float, metadata["probe"])),
            question_probe=tuple(map(float, metadata["question_probe"])),
            revision=None if revision is None else str(revision),
            precision=str(metadata["precision"]),
        )
