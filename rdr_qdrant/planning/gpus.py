"""GPUs as data: what their makers publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        label: its name.
        peak: operations a second of its tensor cores in half precision with sums in fp32, without
            sparsity: half of what data sheets since 2020 give with it.
        source: where that is published.
    """

    label: str
    peak: float
    source: str


GPUS: Mapping[str, Gpu] = {
    "h200": Gpu("H200 SXM", 989e12, "NVIDIA H200 data sheet: 1,979 TFLOPS with sparsity"),
    "h100": Gpu("H100 SXM", 989e12, "NVIDIA H100 data sheet: 1,979 TFLOPS with sparsity"),
    "a100": Gpu("A100", 312e12, "NVIDIA A100 data sheet: 312 TFLOPS"),
    "rtx4090": Gpu("RTX 4090", 165e12, "NVIDIA Ada architecture white paper, app. A: 165.2 TFLOPS"),
    "l4": Gpu("L4", 121e12, "NVIDIA L4 data sheet: 242 TFLOPS with sparsity"),
    "t4": Gpu("T4", 65e12, "NVIDIA T4 data sheet: 65 TFLOPS"),
}
