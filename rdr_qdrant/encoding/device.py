"""On which device, and in which precision, an encoder runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from rdr_qdrant.errors import ModelError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def resolve_device(device: str) -> str:
    """`auto` is cuda, else mps, else cpu; anything else is torch's own name of a device.

    Raises:
        ModelError: a device that torch does not know or that this machine has not.
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
    """`auto` is fp32 on a CPU and fp16 on a GPU; anything else is what it says.

    float16 has three bits more than bfloat16 at the same speed, and BERT's numbers are within its
    range; an encoder whose are not is told of by the vectors.

    Args:
        device: as `resolve_device` gives it.

    Raises:
        ModelError: no such precision, or one that this device has not.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ModelError(f"There is no precision {precision!r}. Known: {known}.")
    if precision == "auto":
        return "fp32" if device == "cpu" else "fp16"
    if precision == "int8" and device != "cpu":
        raise ModelError(
            f"Precision int8 is for the CPU, but the device is {device}. "
            "Use fp16 there, or --device cpu."
        )
    return precision


def dtype_of(precision: str) -> torch.dtype:
    """Of torch's own numbers; int8 is another engine's, with float32 around it."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
