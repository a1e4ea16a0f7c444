"""The forward pass on a GPU as CUDA graphs: one launch for a batch instead of 150.

A launch takes microseconds of the host, more where other threads hold the interpreter lock, and the
GPU waits in between; for a question the launches are nearly all of the time. A graph repeats the
work that was recorded, with the same tensors. So batches are padded to few shapes: with tokens of
no input, whose values nothing reads, and with empty inputs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rdr_qdrant.encoding.batching import filled_batches
from rdr_qdrant.encoding.cls_forward import BatchShape, CLSForward, Forward, batch_array
from rdr_qdrant.encoding.token_ids import IntArray, TokenIds
from rdr_qdrant.encoding.transfer import Fetch, copy_to_device, host_tensor, start_copy_back

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

SMALLEST_SIZE = 32
"""Fewest tokens of a batch, and of its longest input, that are distinguished."""

Work = Callable[[], "torch.Tensor"]
Recording = tuple[Callable[[], None], "torch.Tensor"]
"""Repeats recorded work; the tensor that it leaves its result in."""


class Recorder(Protocol):
    """Records work on a device in order to repeat it."""

    def in_order(self) -> AbstractContextManager[Any]:
        """Return a context; what is started in such contexts runs in the order of starting."""

    def record(self, work: Work) -> Recording:
        """Record work, which reads and writes the same memory each time.

        Raises:
            RuntimeError: the device cannot, or has no memory left.
        """


@dataclass(frozen=True)
class _RecordedBatch:
    """The forward pass of batches of one shape.

    Attributes:
        array: int32, where it reads a batch, see `batch_array`.
        replay: starts it.
        vectors: [inputs, dim], where it leaves the vectors.
    """

    array: torch.Tensor
    replay: Callable[[], None]
    vectors: torch.Tensor


class GraphedForward(Forward):
    """`CLSForward` by recorded graphs; threads may share an instance.

    Args:
        forward: what is recorded, and what runs where nothing can be.
        device: the device of both.
        recorder: records on it.
    """

    def __init__(self, forward: CLSForward, device: str, recorder: Recorder) -> None:
        self._forward = forward
        self._device = device
        self._recorder = recorder
        self._recorded: dict[BatchShape, _RecordedBatch | None] = {}
        self._lock = threading.Lock()

    def batches(self, lengths: IntArray, max_tokens: int) -> Iterator[list[int]]:
        """See `Forward.batches`."""
        return filled_batches(lengths, max_tokens)

    def prepare(self, ids: TokenIds) -> Callable[[], Fetch]:
        """See `Forward.prepare`; the batch is copied to where the device can fetch it."""
        shape = graph_shape(ids)
        return partial(self._start, ids, shape, host_tensor(batch_array(ids, shape), self._device))

    def __call__(self, ids: TokenIds) -> Fetch:
        return self.prepare(ids)()

    def _start(self, ids: TokenIds, shape: BatchShape, array: torch.Tensor) -> Fetch:
        with self._lock, self._recorder.in_order():
            if shape not in self._recorded:
                self._recorded[shape] = self._record(shape)
            recorded = self._recorded[shape]
            if recorded is None:
                return self._forward(ids)
            recorded.array.copy_(array, non_blocking=True)
            recorded.replay()
            return start_copy_back(recorded.vectors[: len(ids)])

    def _record(self, shape: BatchShape) -> _RecordedBatch | None:
        """Record the forward pass of a shape; `None` if that fails.

        Raises:
            torch.OutOfMemoryError: the batch is too large.
        """
        empty = TokenIds(np.zeros(1, np.int32), np.ones(1, np.int32))
        array = copy_to_device(batch_array(empty, shape), self._device)

        def work() -> torch.Tensor:
            return self._forward.vectors(array, shape, [])

        work()  # what is set up when it first runs is not part of it
        try:
            replay, vectors = self._recorder.record(work)
        except RuntimeError as error:
            logger.debug("batches of %s are launched kernel by kernel: %s", shape, error)
            return None
        return _RecordedBatch(array, replay, vectors)


class CudaRecorder:
    """Records CUDA graphs, which share their memory.

    Args:
        device: a CUDA device, on which nothing is running that graphs read.
    """

    def __init__(self, device: str) -> None:
        import torch

        torch.cuda.synchronize(device)
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def in_order(self) -> AbstractContextManager[Any]:
        """See `Recorder.in_order`."""
        import torch

        return torch.cuda.stream(self._stream)

    def record(self, work: Work) -> Recording:
        """See `Recorder.record`."""
        import torch

        graph: Any = torch.cuda.CUDAGraph()
        # other threads may use the GPU meanwhile
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            output = work()
        return graph.replay, output


def graph_shape(ids: TokenIds) -> BatchShape:
    """Return the shape to which a batch is padded: one of few."""
    return BatchShape(
        tokens=_next_size(len(ids.ids)),
        inputs=_next_power(len(ids)),
        longest=max(SMALLEST_SIZE, _next_power(int(ids.lengths.max()))),
    )


def _next_power(number: int) -> int:
    """Return the least power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


def _next_size(tokens: int) -> int:
    """Return the least power of two, or one and a half of it, that is not below a number."""
    tokens = max(SMALLEST_SIZE, tokens)
    power = _next_power(tokens)
    return power * 3 // 4 if tokens <= power * 3 // 4 else power
