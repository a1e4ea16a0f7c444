"""Copies between the host and the device for which the other of the two does not wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Fetch = Callable[[], FloatArray]
"""Waits for vectors that a device computes, and returns them: float32 [n, dim]."""


def host_tensor(array: np.ndarray[Any, Any], device: str) -> torch.Tensor:
    """Return the array as a tensor on the host that can be copied to the device without a wait."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory() if device.startswith("cuda") else tensor


def copy_to_device(array: np.ndarray[Any, Any], device: str) -> torch.Tensor:
    """Return the array as a tensor on the device; on a CPU the two share their memory."""
    return host_tensor(array, device).to(device, non_blocking=True)


def start_copy_back(vectors: torch.Tensor) -> Fetch:
    """Begin to copy float32 vectors, [n, dim], to the host."""
    import torch

    if not vectors.is_cuda:
        return lambda: vectors.cpu().numpy()
    host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
    host.copy_(vectors, non_blocking=True)
    copied: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    copied.record(torch.cuda.current_stream(vectors.device))

    def fetch() -> FloatArray:
        copied.synchronize()
        array: FloatArray = host.numpy()
        return array

    return fetch
