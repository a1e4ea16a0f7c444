"""Small random DPR checkpoints, as folders, and the model card's own way to run one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, DPRConfig, DPRContextEncoder, DPRQuestionEncoder

from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.checkpoint import Checkpoint
from rdr_qdrant.encoding.cls_forward import Forward
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.transfer import Fetch

CLASSES = {Side.CONTEXT: DPRContextEncoder, Side.QUESTION: DPRQuestionEncoder}
WORDS = """the a of in and to is was by river city king battle music number people water great
old new first north south east west wrote built found named ##s ##ing ##ed ##er b c d e f g h i j k
l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 ' . , ? ! - ##a ##b ##c ##d ##e ##f ##g ##h ##i
##j ##k ##l ##m ##n ##o ##p ##q ##r ##t ##u ##v ##w ##x ##y ##z ##0 ##1 ##2 ##3
é α β д ж 中 国""".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]


def write_encoder(
    folder: Path,
    side: Side,
    *,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    projection: int = 0,
    positions: int = 512,
    overflowing: str | None = None,
    spread: float = 1.0,
) -> Path:
    """A random encoder with its tokenizer, weights large enough that mistakes show.

    `spread` scales them: as large as they are, half precision is far off.

    Texts with the word `overflowing` get vectors of NaN, as from one whose values overflow.
    """
    torch.manual_seed(seed + (1000 if side is Side.QUESTION else 0))
    config = DPRConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=positions,
        projection_dim=projection,
        initializer_range=0.3 * spread,
    )
    model = CLASSES[side](config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1 * spread)
        if overflowing:
            embeddings = model.get_input_embeddings().weight
            embeddings[VOCABULARY.index(overflowing)] = torch.inf
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    return folder


def write_pair(folder: Path, **shape: Any) -> tuple[str, str]:
    """Folders of the context and the question encoder."""
    context = write_encoder(folder / "context", Side.CONTEXT, **shape)
    question = write_encoder(folder / "question", Side.QUESTION, **shape)
    return str(context), str(question)


def on_lists(forward: Forward) -> Callable[[list[list[int]]], np.ndarray]:
    """A forward pass that takes token ids as lists and waits for the vectors."""
    return lambda ids: forward(TokenIds.concatenate(ids))()


class OtherCalls:
    """A forward pass with its batches, and other calls."""

    def __init__(self, forward: Forward, call: Callable[[TokenIds], Fetch]) -> None:
        self.batches = forward.batches
        self._call = call

    def prepare(self, ids: TokenIds) -> Callable[[], Fetch]:
        return partial(self, ids)

    def __call__(self, ids: TokenIds) -> Fetch:
        return self._call(ids)


def checkpoint_of(model: Any) -> Checkpoint:
    """A context encoder as it is after loading, without a tokenizer."""
    weights = dict(model.named_parameters())
    return Checkpoint(Side.CONTEXT, model.config, weights, tokenizer=None, loaded_model=model)


class ModelCard:
    """The oracle: one text at a time, the exact class, eager attention, segment ids zero."""

    def __init__(self, side: Side, folder: str | Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = CLASSES[side].from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float32
        )
        self.model.eval()

    def encode(self, *parts: str, max_length: int = 256) -> np.ndarray:
        """`(text)` or `(title, text)` to a vector."""
        data = self.tokenizer(
            *parts, return_tensors="pt", truncation="longest_first", max_length=max_length
        )
        data["token_type_ids"] = torch.zeros_like(data["input_ids"])
        with torch.no_grad():
            return self.model(**data).pooler_output[0].numpy()
