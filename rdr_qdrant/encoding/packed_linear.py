"""Linear layers, on the CPU in float32 with oneDNN's packed weights.

The operators are those that PyTorch's own compiler emits for a linear layer. Against
`torch.nn.functional.linear` they were 1.1 to 1.5 times as fast on an AMD CPU, whose vector units
MKL does not use fully. They fuse GELU and the addition of a residual. `torch.utils.mkldnn` computes
the same, bit by bit, through public functions, but needs 6 to 11 % more time for the feed-forward
part of a batch, and half as much again for that of a question.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Activation = Literal["none", "gelu"]


class PackedLinear:
    """`x @ weight.T + bias`, [t, in] to [t, out], for inference only.

    Args:
        layers: weight and bias of layers with the same input; their outputs are concatenated.
            All biases are missing, or none is.
    """

    def __init__(self, *layers: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        import torch

        weight = torch.cat([weight.detach() for weight, _ in layers])
        biases = [bias.detach() for _, bias in layers if bias is not None]
        self._bias = torch.cat(biases) if biases else None
        packable = weight.device.type == "cpu" and weight.dtype == torch.float32
        self._packed = packable and _packed_operators_work()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self._packed else weight

    def __call__(self, x: torch.Tensor, activation: Activation = "none") -> torch.Tensor:
        """Return the outputs, after the exact (erf) GELU if `activation` is `"gelu"`."""
        import torch
        from torch.nn import functional

        if self._packed:
            output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._weight, self._bias, activation, [], "none"
            )
            return output
        y = functional.linear(x, self._weight, self._bias)
        return functional.gelu(y) if activation == "gelu" else y

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs for `x` plus `residual`, [t, out]; `residual` may be overwritten."""
        import torch
        from torch.nn import functional

        if self._packed:
            output: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
                x, residual, self._weight, self._bias, "add"
            )
            return output
        if self._bias is None:
            return residual.addmm_(x, self._weight.t())
        return functional.linear(x, self._weight, self._bias).add_(residual)


@cache
def _packed_operators_work() -> bool:
    """Return whether this torch has the packed operators and they compute the right values."""
    import torch
    from torch.nn import functional

    x, weight = torch.linspace(-2, 2, 32).view(2, 16), torch.linspace(-1, 1, 256).view(16, 16)
    bias = torch.linspace(-3, 3, 16)
    expected = functional.linear(x, weight, bias)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        pointwise = torch.ops.mkldnn._linear_pointwise
        gelu = pointwise(x, packed, bias, "gelu", [], "none")
        added = pointwise.binary(x, expected, packed, bias, "add")
    except Exception:  # not a public API: on any failure the public one is used
        return False
    return torch.allclose(gelu, functional.gelu(expected), atol=1e-5) and torch.allclose(
        added, 2 * expected, atol=1e-5
    )
