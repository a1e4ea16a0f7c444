"""A linear layer; on the CPU in float32 by oneDNN, with its weight laid out beforehand.

That is what torch's own compiler makes of a linear layer, and it needs no compiler. Against
`torch.nn.functional.linear` it was 1.1 to 1.5 times as fast on an AMD CPU, whose vector units the
library behind that function does not use fully. GELU and an addition are done on the way out.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Activation = Literal["none", "gelu"]


class Linear:
    """`x @ weight.T + bias`, [t, in] to [t, out], in inference only.

    Args:
        modules: `torch.nn.Linear`s on the same input, whose outputs are laid side by side.
    """

    def __init__(self, *modules: Any) -> None:
        import torch

        weight = torch.cat([module.weight.detach() for module in modules])
        self._bias = torch.cat([module.bias.detach() for module in modules])
        self._packed = weight.device.type == "cpu" and weight.dtype == torch.float32 and _packing()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self._packed else weight

    def __call__(self, x: torch.Tensor, activation: Activation = "none") -> torch.Tensor:
        """The outputs, with GELU (the exact one, by the error function) on top where asked."""
        import torch
        from torch.nn import functional

        if self._packed:
            found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._weight, self._bias, activation, [], "none"
            )
            return found
        y = functional.linear(x, self._weight, self._bias)
        return functional.gelu(y) if activation == "gelu" else y

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """The outputs with another tensor [t, out] added."""
        import torch
        from torch.nn import functional

        if self._packed:
            found: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
                x, residual, self._weight, self._bias, "add"
            )
            return found
        return functional.linear(x, self._weight, self._bias).add_(residual)


@cache
def _packing() -> bool:
    """Whether this torch has the operators, and they compute what they should."""
    import torch
    from torch.nn import functional

    x, weight = torch.linspace(-2, 2, 32).view(2, 16), torch.linspace(-1, 1, 256).view(16, 16)
    bias = torch.linspace(-3, 3, 16)
    expected = functional.linear(x, weight, bias)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        run = torch.ops.mkldnn._linear_pointwise
        gelu = run(x, packed, bias, "gelu", [], "none")
        added = run.binary(x, expected, packed, bias, "add")
    except Exception:  # private operators: whatever is wrong, the public way remains
        return False
    return torch.allclose(gelu, functional.gelu(expected), atol=1e-5) and torch.allclose(
        added, 2 * expected, atol=1e-5
    )
