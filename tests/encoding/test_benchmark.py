"""The operations and tokens that the speed measurement counts."""

from __future__ import annotations

import pytest
import torch
from transformers import DPRConfig

from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.benchmark import measure, operations
from tests.checkpoints import CLASSES


@pytest.mark.parametrize("projection", [0, 8])
def test_operations_equal_torchs_count(projection: int) -> None:
    """Torch's counter on transformers' model, minus the last layer's other tokens."""
    from torch.utils.flop_counter import FlopCounterMode

    config = DPRConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=projection,
        attn_implementation="eager",
    )
    model = CLASSES[Side.CONTEXT](config).eval()
    tokens = 20
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.arange(tokens)[None])
    hidden, inner, heads = 16, 64, 2
    one_token = 4 * hidden * hidden + 2 * hidden * inner
    whole = tokens * one_token + 2 * tokens * tokens * hidden
    of_cls = one_token + 2 * tokens * heads * hidden
    assert operations(config, [tokens]) == counter.get_total_flops() - 2 * (whole - of_cls)
    assert operations(config, [tokens, tokens]) == 2 * operations(config, [tokens])


def test_encoded_passages_and_tokens_are_counted(tiny_pair: tuple[str, str]) -> None:
    encoder = Encoder(Side.CONTEXT, tiny_pair[0], max_length=16, device="cpu")
    found = measure(encoder, ["the river", "the city " * 20, ("king", "the old city")], 0.0)
    assert (found.device, found.precision, found.passages) == ("cpu", "fp32", 3)
    assert found.tokens == 4 + 16 + 7
    assert found.seconds_for(300) == pytest.approx(100 * found.seconds)
    assert 0 < found.fraction_of_matrix_speed < 1
