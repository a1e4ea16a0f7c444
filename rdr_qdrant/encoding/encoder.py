"""One encoder of a pair: texts in, `[CLS]` vectors out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from rdr_qdrant.encoding.checkpoint import Checkpoint, Side, load_checkpoint
from rdr_qdrant.encoding.cls_forward import Forward, make_forward
from rdr_qdrant.encoding.device import resolve_device, resolve_precision
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.tokenizer import EncoderInput, InputTokenizer, Tokens
from rdr_qdrant.encoding.tokenizer_process import TokenizerProcess
from rdr_qdrant.encoding.transfer import Fetch, FloatArray
from rdr_qdrant.errors import ModelError

BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
"""Maximum number of tokens of a batch, padding included, by type of device (others: as cpu)."""

INPUTS_AT_A_TIME = {"cpu": 256, "cuda": 4096}
"""Number of inputs to be sorted by length together, by type of device: enough for several batches,
so that little is padded and the device seldom waits."""

ENCODING_THREADS = {"cpu": 1, "cuda": 2}
"""Number of threads that should encode at a time, by type of device: a GPU then has a batch of one
while the other one waits for its last vectors."""

TOKENIZED_BESIDE = 1024
"""Number of inputs that are tokenized while a GPU encodes the ones before."""

BATCHES_AHEAD = 2
"""Number of batches that a GPU has been given when the vectors of one are waited for."""

_threads_started_in: int | None = None
"""Process in which an encoder first ran with several threads or on a GPU. A forked process inherits
the value, but not the threads: PyTorch would wait for them forever."""


@dataclass(frozen=True)
class EncodedInputs:
    """Vectors of a list of inputs.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, not normalised.
        truncated: for each input whether it was truncated to `max_length`.
    """

    vectors: FloatArray
    truncated: list[bool]


@dataclass(frozen=True)
class EncodedBatch:
    """Vectors of one batch of the inputs.

    Attributes:
        positions: positions of the batch in the list of inputs.
        vectors: float32 [len(positions), dim].
        truncated: for each of them whether it was truncated.
    """

    positions: list[int]
    vectors: FloatArray
    truncated: list[bool]


@dataclass(frozen=True)
class _Batch:
    """A batch of some inputs.

    Attributes:
        chosen: the indexes of its inputs in `Tokens`.
        ids: its token ids.
        start: starts its forward pass.
    """

    chosen: list[int]
    ids: TokenIds
    start: Callable[[], Fetch]


@dataclass(frozen=True)
class _BatchedTokens(Tokens):
    """Token ids of a list of inputs, and their batches."""

    batches: Sequence[_Batch] = ()


class Encoder:
    """The context or the question encoder of a pair, loaded.

    Args:
        side: the encoder that the checkpoint must hold.
        source: folder or hub id of the checkpoint.
        max_length: maximum number of tokens of an input, special tokens included.
        device: `auto` or a torch device (`cpu`, `cuda`, `mps` ...).
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`.
        revision: branch, tag or commit, if `source` is a hub id.
        batch_tokens: maximum number of tokens of a batch, padding included; by default
            `BATCH_TOKENS`.

    Attributes:
        device: device in use.
        precision: precision in use.
        config: the checkpoint's settings, named as in `transformers.DPRConfig`.

    Raises:
        ModelError: see `load_checkpoint`; or `max_length` exceeds the checkpoint's positions; or
            the device or precision is not available here; or this is a fork of a process with a
            loaded encoder.
    """

    def __init__(
        self,
        side: Side,
        source: str,
        *,
        max_length: int,
        device: str,
        precision: str = "auto",
        revision: str | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        self._side, self._source = side, source
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self._uses_threads = self.device != "cpu" or _torch_threads() > 1
        self._check_not_forked()
        checkpoint = load_checkpoint(side, source, revision)
        self.config = checkpoint.config
        positions = self.config.max_position_embeddings
        if max_length > positions:
            raise ModelError(
                f"max_length is {max_length}, but {source} has only {positions} positions. "
                f"Set max_length to {positions} or less."
            )
        self._weights_digest = checkpoint.weights_digest() if side is Side.CONTEXT else ""
        self._tokenizer = checkpoint.tokenizer
        self._tokenize: Callable[[Sequence[EncoderInput]], Tokens]
        self._tokenizing: ThreadPoolExecutor | None = None
        if self.device == "cpu":
            self._tokenize = InputTokenizer(checkpoint.tokenizer, max_length)
        else:
            self._tokenize = TokenizerProcess(checkpoint.tokenizer, max_length)
            self._tokenizing = ThreadPoolExecutor(1, "tokenize")
        self._batch_tokens = batch_tokens or _by_device(BATCH_TOKENS, self.device)
        self._batches_ahead = BATCHES_AHEAD if self.device.startswith("cuda") else 0
        self._forward = self._make_forward(checkpoint)
        global _threads_started_in
        if self._uses_threads:
            _threads_started_in = os.getpid()

    @property
    def dimension(self) -> int:
        """Length of a vector: the projection's dimension if there is one, else the hidden size."""
        return int(self.config.projection_dim or self.config.hidden_size)

    def vocabulary(self) -> dict[str, int]:
        """Return the id of each token."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    @property
    def weights_digest(self) -> str:
        """SHA-256 (hex) of the weights; empty for a question encoder, whose digest is not used."""
        return self._weights_digest

    def encode(self, inputs: Sequence[EncoderInput]) -> EncodedInputs:
        """Return the vectors of the inputs, in their order.

        Raises:
            ModelError: see `encode_batches`; or a vector holds NaN or infinity.
        """
        vectors = np.empty((len(inputs), self.dimension), dtype=np.float32)
        truncated = [False] * len(inputs)
        for batch in self._encode_parts(self._tokenize_in_parts(inputs)):
            vectors[batch.positions] = batch.vectors
            for position, cut in zip(batch.positions, batch.truncated, strict=True):
                truncated[position] = cut
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"The {self._side.value} {self._source} gave vectors that are not finite in "
                f"{self.precision} on {self.device}: its values overflow. Use precision fp32 or "
                "bf16, or another device."
            )
        return EncodedInputs(vectors, truncated)

    def tokenize(self, inputs: Sequence[EncoderInput]) -> Future[Tokens]:
        """Tokenize inputs on the CPU; beside a GPU, after those that were given before.

        Raises:
            ModelError: this is a fork of the process that loaded the encoder.
        """
        self._check_not_forked()
        if self._tokenizing:
            return self._tokenizing.submit(self._tokenize_and_batch, inputs)
        tokens: Future[Tokens] = Future()
        tokens.set_result(self._tokenize(inputs))
        return tokens

    def encode_batches(self, tokens: Tokens) -> Iterator[EncodedBatch]:
        """Yield the vectors of tokenized inputs batch by batch, the longest inputs first.

        Vectors are `pooler_output`, float32, not normalised. Those of an encoder that overflows
        hold NaN or infinity: whoever stores them checks each, see `ingest.passage_encoder`.

        Raises:
            ModelError: a single input does not fit in the device's memory; or this is a fork of
                the process that loaded the encoder.
        """
        self._check_not_forked()
        return self._encode_parts([tokens])

    def _encode_parts(self, parts: Iterable[Tokens]) -> Iterator[EncodedBatch]:
        """Encode parts of a list of inputs, one after the other; a GPU is never waited for."""
        started: deque[tuple[int, Tokens, list[int], list[Fetch]]] = deque()
        first = 0
        for tokens in parts:
            for batch in self._batches(tokens):
                fetches = self._start(batch.ids, batch.start)
                started.append((first, tokens, batch.chosen, fetches))
                if len(started) > self._batches_ahead:
                    yield self._finish(*started.popleft())
            first += len(tokens.truncated)
        while started:
            yield self._finish(*started.popleft())

    def _tokenize_in_parts(self, inputs: Sequence[EncoderInput]) -> Iterator[Tokens]:
        """Tokenize inputs in their order, beside a GPU each part while another is encoded."""
        size = TOKENIZED_BESIDE if self._tokenizing else len(inputs)
        if len(inputs) <= size:
            self._check_not_forked()
            yield self._tokenize(inputs)
            return
        ahead: deque[Future[Tokens]] = deque()
        for start in range(0, len(inputs), size):
            ahead.append(self.tokenize(inputs[start : start + size]))
            if len(ahead) > 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _tokenize_and_batch(self, inputs: Sequence[EncoderInput]) -> Tokens:
        """Tokenize inputs and prepare their batches, so that less is done beside the GPU."""
        tokens = self._tokenize(inputs)
        batches = list(self._batches(tokens))
        return _BatchedTokens(tokens.ids, tokens.truncated, tokens.positions, batches)

    def _batches(self, tokens: Tokens) -> Iterable[_Batch]:
        if isinstance(tokens, _BatchedTokens):
            return tokens.batches
        found = self._forward.batches(tokens.ids.lengths, self._batch_tokens)
        selected = ((chosen, tokens.ids.select(chosen)) for chosen in found)
        return (_Batch(chosen, ids, self._forward.prepare(ids)) for chosen, ids in selected)

    def _check_not_forked(self) -> None:
        if self._uses_threads and _threads_started_in not in (None, os.getpid()):
            raise ModelError(
                f"The {self._side.value} {self._source} cannot be used in process {os.getpid()}, a "
                f"fork of process {_threads_started_in}, which has loaded an encoder: its threads "
                "do not survive a fork. Load encoders after the fork only, or start processes by "
                "'spawn'."
            )

    def _make_forward(self, checkpoint: Checkpoint) -> Forward:
        if self.precision == "int8":
            from rdr_qdrant.encoding.onnx_int8 import Int8Forward

            return Int8Forward(checkpoint.model)
        return make_forward(checkpoint, self.device, self.precision)

    def _start(self, ids: TokenIds, start: Callable[[], Fetch]) -> list[Fetch]:
        """Start encoding a batch, in parts of half the size for as long as memory is too small."""
        import torch

        try:
            return [start()]
        except torch.OutOfMemoryError:
            if len(ids) == 1:
                raise ModelError(
                    f"{self.device} has no memory left for one input of {len(ids.ids)} tokens. "
                    "Stop other programs that use it, or use another device."
                ) from None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        half = len(ids) // 2
        parts = ids.select(range(half)), ids.select(range(half, len(ids)))
        return [fetch for part in parts for fetch in self._start(part, self._forward.prepare(part))]

    def _finish(
        self, first: int, tokens: Tokens, chosen: list[int], parts: list[Fetch]
    ) -> EncodedBatch:
        """Wait for the vectors of a batch of some inputs, the first of which has this position."""
        vectors = np.concatenate([fetch() for fetch in parts]) if len(parts) > 1 else parts[0]()
        truncated = [tokens.truncated[i] for i in chosen]
        positions = tokens.positions or range(len(tokens.truncated))
        return EncodedBatch([first + positions[i] for i in chosen], vectors, truncated)


def inputs_at_a_time(device: str) -> int:
    """Return how many inputs a device should be given at a time, or more."""
    return _by_device(INPUTS_AT_A_TIME, device)


def encoding_threads(device: str) -> int:
    """Return how many threads should encode on a device at a time."""
    return _by_device(ENCODING_THREADS, device)


def _by_device(values: Mapping[str, int], device: str) -> int:
    return values.get(device.partition(":")[0], values["cpu"])


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()
