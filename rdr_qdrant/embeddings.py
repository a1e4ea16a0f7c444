"""RDR's two encoders behind LangChain's `Embeddings` interface."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, Self

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from rdr_qdrant.encoding import (
    EncodedBatch,
    EncodedInputs,
    Encoder,
    FloatArray,
    Side,
    resolve_device,
)
from rdr_qdrant.encoding.checkpoint import load_checkpoint_tokenizer
from rdr_qdrant.encoding.device import Precision, resolve_precision
from rdr_qdrant.encoding.encoder import encoding_threads, inputs_at_a_time
from rdr_qdrant.encoding.encoder_cache import (
    CachedEncoder,
    cache_path,
    load_cached,
    save_cached,
)
from rdr_qdrant.encoding.token_counter import TokenCounter
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
"""Neither may ever change: every collection stores the vectors of both."""

QUESTION_CACHE_SIZE = 1024
"""Number of recent questions whose vectors are cached: 3 MB at 768 dimensions."""


class RDREmbeddings(BaseModel, Embeddings):
    """The Reader-Distilled Retriever (Yang and Seo 2020, arXiv 2010.10999) for LangChain.

    Passages are encoded by the context encoder, questions by the question encoder of the same pair.
    Vectors are the `[CLS]` outputs, float32, not normalised; compare them by inner product
    (`Distance.DOT`).

    Setup:
        `pip install -c constraints.txt -e .` in a clone, or `pip install rdr-qdrant`

    Key init args:
        model: name of a pair (`rdr-qdrant models` lists them), by default `rdr-single-trivia`.
        context_encoder, question_encoder: two hub ids or folders, instead of a name.
        revision: branch, tag or commit of both encoders, if they are hub ids.
        max_length: maximum number of tokens of an input, special tokens included; longer inputs
            are truncated.
        device: `auto` (cuda, else mps, else cpu) or a torch device.
        precision: `auto` (fp32 on a CPU, fp16 on a GPU), `fp32`, `bf16`, `fp16`, or `int8` on a
            CPU (extra `int8`), where questions, which are short, are encoded in fp32. Vectors are
            always float32.

    Instantiate:
        >>> from rdr_qdrant import RDREmbeddings
        >>> embeddings = RDREmbeddings(model="demo")

    Embed:
        >>> vector = embeddings.embed_query("Who wrote Faust?")
        >>> vectors = embeddings.embed_documents(["Goethe wrote Faust.", "The Rhine is a river."])

    The encoders are loaded on first use, or by `warm_up()`. An instance is thread-safe; the async
    methods run in a thread and do not block the event loop. It can be copied and pickled; a copy in
    another process loads the weights again. Loaded encoders cannot be used in a forked process.

    Raises:
        ModelError: the model is unknown or one encoder is missing; on first use, an encoder cannot
            be loaded or is not the encoder it should be.
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
    _encode_question_cached: Callable[[str], FloatArray] = PrivateAttr()

    @model_validator(mode="after")
    def _resolve(self) -> RDREmbeddings:
        self._pair = resolve_pair(
            self.model,
            context_encoder=self.context_encoder,
            question_encoder=self.question_encoder,
        )
        if self._pair.name is not None:
            object.__setattr__(self, "model", self._pair.name)
        self._encode_question_cached = lru_cache(QUESTION_CACHE_SIZE)(self._encode_question)
        return self

    # Copies: what is pickled are the fields; weights are loaded again on arrival

    def __getstate__(self) -> dict[Any, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __copy__(self) -> Self:
        copy = type(self)(**self.__getstate__())
        with self._lock:
            copy._encoders.update(self._encoders)  # never modified, so both may use them
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, which are validated."""
        if not update:
            return self.__copy__()
        return type(self)(**{**self.__getstate__(), **update})

    # LangChain's interface

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of passages without titles, in their order."""
        return _as_lists(self._encode(Side.CONTEXT, [passage_input("", text) for text in texts]))

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question; the last 1,024 questions' vectors are cached."""
        vector: list[float] = self._encode_question_cached(question_input(text)).tolist()
        return vector

    # The same as arrays, with titles

    def encode_passages(self, passages: Sequence[Passage]) -> FloatArray:
        """Return the vectors of passages, float32 [n, dim], in their order."""
        return _vectors_with_warning(self.encode_passages_counted(passages))

    def encode_questions(self, questions: Sequence[str]) -> FloatArray:
        """Return the vectors of questions, float32 [n, dim], in their order."""
        if len(questions) == 1:
            return self._encode_question_cached(question_input(questions[0]))[None].copy()
        inputs: list[EncoderInput] = [question_input(text) for text in questions]
        return self._encode(Side.QUESTION, inputs).vectors

    def encode_passages_counted(self, passages: Sequence[Passage]) -> EncodedInputs:
        """Return the vectors of passages and which of them were truncated to `max_length`."""
        return self._encode(Side.CONTEXT, _inputs(passages))

    # Tokenization and encoding apart, to run them in different threads

    def tokenize_passages(self, passages: Sequence[Passage]) -> Future[Tokens]:
        """Tokenize passages for `encode_batches`; beside a GPU in the background."""
        return self._encoder(Side.CONTEXT).tokenize(_inputs(passages))

    def encode_batches(self, tokens: Future[Tokens]) -> Iterator[EncodedBatch]:
        """Yield the vectors of tokenized passages batch by batch, the longest first."""
        return self._encoder(Side.CONTEXT).encode_batches(tokens.result())

    def passages_at_a_time(self) -> int:
        """Return how many passages the context encoder should be given at a time, or more.

        Like `fingerprint`, it loads no encoder that was loaded on this machine before.
        """
        return inputs_at_a_time(self._cached_encoder(Side.CONTEXT).device)

    def encoding_threads(self) -> int:
        """Return how many threads should call `encode_batches` at a time."""
        return encoding_threads(self._cached_encoder(Side.CONTEXT).device)

    def encoder(self, side: Side) -> Encoder:
        """Return one of the two encoders; it is loaded if necessary."""
        return self._encoder(side)

    def token_counter(self) -> TokenCounter:
        """Count the context encoder's tokens, for a `Splitter`; the weights are not loaded.

        Raises:
            ModelError: when first used: the tokenizer cannot be loaded.
        """
        return TokenCounter(self._load_tokenizer, self.max_length)

    # Identity of the pair, stored with a collection

    @property
    def pair(self) -> EncoderPair:
        """The pair in use, with its published answer recall."""
        return self._pair

    @property
    def pair_label(self) -> str:
        """Name of the pair, or both ids; known before anything is loaded."""
        return self._pair.label

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._encoder(Side.CONTEXT).dimension

    def fingerprint(self) -> str:
        """Return all that a passage's vector depends on besides the passage, for its content hash.

        That is the weights, `max_length` and the passage format; not the encoder's path or name.
        An encoder that was loaded on this machine before, and whose files are unchanged, is not
        loaded for this.
        """
        digest = self._cached_encoder(Side.CONTEXT).weights_digest
        return f"{digest}\n{self.max_length}\n{PASSAGE_FORMAT}"

    def identity(self, *sides: Side) -> PairIdentity:
        """Return the identity that a collection stores, with probes of `sides` (default both)."""
        cached = {side: self._cached_encoder(side) for side in sides or tuple(Side)}
        probes = {side: entry.probe for side, entry in cached.items()}
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
            precision=next(iter(cached.values())).precision,
        )

    def warm_up(self, *sides: Side) -> None:
        """Load the encoders of `sides` (default both) and run each on short texts.

        Afterwards the first question takes no longer than the tenth.
        """
        for side in sides or tuple(Side):
            self._probe(side)
            self._encode(side, [" ".join([PROBE_QUESTION] * 2)])

    def _cached_encoder(self, side: Side) -> CachedEncoder:
        """Return an encoder's digest and probe; it is loaded only if they are not cached."""
        path = cache_path(
            side,
            self._location(side),
            revision=self.revision,
            max_length=self.max_length,
            precision=f"{self._precision_of(side)} on {self.device}",
        )
        cached = None if side in self._encoders else load_cached(path)
        if cached is None:
            probe = _rounded(self._probe(side))
            encoder = self._encoder(side)
            cached = CachedEncoder(encoder.weights_digest, encoder.device, encoder.precision, probe)
            save_cached(path, cached)
        return cached

    def _probe(self, side: Side) -> FloatArray:
        if side is Side.CONTEXT:
            vectors = self.encode_passages([PROBE_PASSAGE])
        else:
            vectors = self.encode_questions([PROBE_QUESTION])
        return vectors.reshape(-1)

    def _encode_question(self, question: str) -> FloatArray:
        return _vectors_with_warning(self._encode(Side.QUESTION, [question])).reshape(-1)

    def _encode(self, side: Side, inputs: list[EncoderInput]) -> EncodedInputs:
        return self._encoder(side).encode(inputs)

    def _encoder(self, side: Side) -> Encoder:
        with self._lock:
            if side not in self._encoders:
                self._encoders[side] = Encoder(
                    side,
                    self._location(side),
                    max_length=self.max_length,
                    device=self.device,
                    precision=self._precision_of(side),
                    revision=self.revision,
                )
                if len(self._encoders) == len(Side):
                    self._check_pair()
            return self._encoders[side]

    def _precision_of(self, side: Side) -> str:
        if self.precision == "int8" and side is Side.QUESTION:
            # exact questions make up for half of what int8 costs in recall (docs/encoding.md)
            resolve_precision(self.precision, resolve_device(self.device))
            return "fp32"
        return self.precision

    def _load_tokenizer(self) -> Any:
        return load_checkpoint_tokenizer(Side.CONTEXT, self._location(Side.CONTEXT), self.revision)

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
                f"the context encoder's vectors have {context.dimension} dimensions, the question "
                f"encoder's {question.dimension}"
            )
        elif context.vocabulary() != question.vocabulary():
            difference = (
                f"the vocabulary of the context encoder ({len(context.vocabulary()):,} tokens) "
                f"differs from that of the question encoder ({len(question.vocabulary()):,})"
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


def _as_lists(encoded: EncodedInputs) -> list[list[float]]:
    lists: list[list[float]] = _vectors_with_warning(encoded).tolist()
    return lists


def _vectors_with_warning(encoded: EncodedInputs) -> FloatArray:
    if truncated := sum(encoded.truncated):
        logger.warning(
            "%d of %d texts were longer than max_length and were truncated; "
            "split them into shorter passages to make all of them searchable",
            truncated,
            len(encoded.truncated),
        )
    return encoded.vectors


def _rounded(vector: FloatArray) -> tuple[float, ...]:
    """Round to 5 significant digits: a few kB of JSON, far finer than two encoders differ."""
    return tuple(float(np.format_float_scientific(x, precision=4)) for x in vector)
