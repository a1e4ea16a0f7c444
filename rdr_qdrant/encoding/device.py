"""Choosing the device and the precision that an encoder runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from rdr_qdrant.errors import ModelError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def resolve_device(device: str) -> str:
    """Return the device to use: for `auto` cuda, else mps, else cpu; otherwise `device` itself.

    Raises:
        ModelError: torch does not know the device, or this machine does not have it.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"The device {device!r} cannot be used here ({reason}). Try auto, cpu, cuda or mps."
        ) from None
    return device


def resolve_precision(precision: str, device: str) -> str:
    """Return the precision to use: for `auto` fp32 on a CPU and fp16 elsewhere.

    float16 has three more bits of mantissa than bfloat16 at the same speed, and BERT's values are
    within its range; `Encoder` raises if a vector is not finite.

    Args:
        precision: one of `PRECISIONS`.
        device: as `resolve_device` returns it.

    Raises:
        ModelError: the precision is unknown or not supported on this device.
    """
    if precision not in PRECISIONS:
        raise ModelError(f"Unknown precision {precision!r}. Known: {', '.join(PRECISIONS)}.")
    if precision == "auto":
        return "fp32" if device == "cpu" else "fp16"
    if precision == "int8" and device != "cpu":
        raise ModelError(
            f"Precision int8 is for the CPU, but the device is {device}. "
            "Use fp16 there, or --device cpu."
        )
    return precision


def dtype_of(precision: str) -> torch.dtype:
    """Return the floating-point type of a precision; for int8 that of what is not quantized."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
