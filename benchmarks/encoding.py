"""Encoding on the CPU in float32 beside its peers: the same weights and texts, in turns, in one run.

    python benchmarks/encoding.py [--passages 48] [--rounds 3] [--layers 12] [--json]

A BERT-base pair of random weights (arithmetic does not care which) with the demo pair's vocabulary
reads passages of about 172 tokens, made of the examples' own. Peers:

- the model card's loop: one text at a time, eager attention;
- transformers: padded batches in order of length, scaled-dot-product attention, its best batch;
- sentence-transformers: CLS pooling on the same BERT, at its default batch of 32 and its best.

Each figure is the median over the rounds. The last column is the share of this machine's own speed
at BERT's matrix multiplications, measured in the same rounds; only the arithmetic that the full
model needs is counted, so that leaving some out shows as a gain. sentence-transformers is an extra
of nobody's: pip install sentence-transformers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoTokenizer, BertConfig, BertModel, DPRConfig, DPRContextEncoder

from rdr_qdrant.cli.demo import example_data
from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.demo import demo_encoder
from rdr_qdrant.readers import open_source

WORDS = 125  # of running text: about 172 tokens
HIDDEN, INNER = 768, 3072
BEST_BATCHES = (4, 8, 16)

Encode = Callable[[list[str]], np.ndarray]


def texts_of(count: int) -> list[str]:
    """Texts of the examples, laid end to end and cut at lengths around WORDS."""
    passages = open_source(example_data() / "passages.tsv").passages(print)
    words = iter([word for passage in passages for word in passage.text.split()] * 20)
    random = np.random.default_rng(0)
    sizes = random.integers(WORDS * 2 // 3, WORDS * 4 // 3, count)
    return [" ".join(next(words) for _ in range(size)) for size in sizes]


def write_checkpoints(folder: Path, layers: int) -> tuple[Path, Path]:
    """One set of weights as a DPR context encoder and as plain BERT."""
    torch.manual_seed(0)
    config = DPRConfig(num_hidden_layers=layers, projection_dim=0)
    dpr = DPRContextEncoder(config)
    vocabulary = (demo_encoder(Side.CONTEXT) / "vocab.txt").read_bytes()
    bert = BertModel(BertConfig(num_hidden_layers=layers), add_pooling_layer=False)
    bert.load_state_dict(dpr.ctx_encoder.bert_model.state_dict())
    for name, model in (("dpr", dpr), ("bert", bert)):
        model.save_pretrained(folder / name)
        (folder / name / "vocab.txt").write_bytes(vocabulary)
    return folder / "dpr", folder / "bert"


def card_loop(folder: Path) -> Encode:
    model = DPRContextEncoder.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            found = [
                model(**tokenizer(t, return_tensors="pt", truncation=True, max_length=256))
                for t in texts
            ]
        return np.stack([one.pooler_output[0].numpy() for one in found])

    return encode


def transformers_batches(folder: Path, size: int) -> Encode:
    model = DPRContextEncoder.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(texts: list[str]) -> np.ndarray:
        ids = tokenizer(texts, truncation=True, max_length=256)["input_ids"]
        vectors = np.empty((len(texts), HIDDEN), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            data = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            with torch.inference_mode():
                vectors[batch] = model(**data).pooler_output.numpy()
        return vectors

    return encode


def sentence_transformers(folder: Path, size: int | None) -> Encode:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    bert = Transformer(str(folder), max_seq_length=256)
    model = SentenceTransformer(modules=[bert, Pooling(HIDDEN, pooling_mode="cls")], device="cpu")
    options: dict[str, Any] = {} if size is None else {"batch_size": size}
    return lambda texts: model.encode(texts, show_progress_bar=False, **options)


def ours(folder: Path) -> Encode:
    encoder = Encoder(Side.CONTEXT, str(folder), max_length=256, device="cpu")
    return lambda texts: encoder.encode(texts).vectors


def matrix_speed(seconds: float = 1.0) -> float:
    """Floating-point operations a second in the shapes of BERT-base, for 2,048 tokens."""
    x, up, down = torch.randn(2048, HIDDEN), torch.randn(INNER, HIDDEN), torch.randn(HIDDEN, INNER)
    started, done = time.perf_counter(), 0
    with torch.inference_mode():
        while time.perf_counter() - started < seconds:
            functional.linear(functional.linear(x, up), down)
            done += 1
    return done * 4 * 2048 * HIDDEN * INNER / (time.perf_counter() - started)


def operations(lengths: list[int], layers: int) -> float:
    """What the whole model needs for sequences of these lengths: multiply and add are two."""
    weights = 4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER
    return sum(layers * (2 * n * weights + 4 * n * n * HIDDEN) for n in lengths)


def routes(dpr: Path, bert: Path) -> Iterator[tuple[str, Encode]]:
    yield "rdr-qdrant", ours(dpr)
    yield "model card's loop", card_loop(dpr)
    for size in BEST_BATCHES:
        yield f"transformers, batch {size}", transformers_batches(dpr, size)
    yield "sentence-transformers, as installed", sentence_transformers(bert, None)
    for size in BEST_BATCHES:
        yield f"sentence-transformers, batch {size}", sentence_transformers(bert, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    texts = texts_of(options.passages)
    with tempfile.TemporaryDirectory() as folder:
        dpr, bert = write_checkpoints(Path(folder), options.layers)
        tokenizer = AutoTokenizer.from_pretrained(dpr)
        lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=256).input_ids]
        every = list(routes(dpr, bert))
        reference = card_loop(dpr)(texts)
        errors = {name: float(np.abs(encode(texts) - reference).max()) for name, encode in every}
        speeds: dict[str, list[float]] = {name: [] for name, _ in every}
        shares: dict[str, list[float]] = {name: [] for name, _ in every}
        work = operations(lengths, options.layers)
        for _ in range(options.rounds):
            for name, encode in every:
                machine = matrix_speed()
                started = time.perf_counter()
                encode(texts)
                seconds = time.perf_counter() - started
                speeds[name].append(len(texts) / seconds)
                shares[name].append(work / seconds / machine)
    rows = [
        {
            "route": name,
            "passages_per_second": round(statistics.median(speeds[name]), 2),
            "rdr_qdrant_is_times": round(
                statistics.median(
                    mine / its for mine, its in zip(speeds["rdr-qdrant"], speeds[name], strict=True)
                ),
                2,
            ),
            "share_of_matrix_speed": round(statistics.median(shares[name]), 3),
            "largest_difference": errors[name],
        }
        for name, _ in every
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    mean = statistics.mean(lengths)
    print(f"{len(texts)} passages of {mean:.0f} tokens, {options.layers} layers, float32,")
    print(f"{torch.get_num_threads()} threads, {options.rounds} rounds in turns\n")
    print(f"{'':38}{'passages/s':>11}{'ours is':>9}{'of matrix':>11}{'difference':>12}")
    for row in rows:
        print(
            f"{row['route']:38}{row['passages_per_second']:>11.2f}"
            f"{row['rdr_qdrant_is_times']:>8.2f}x{row['share_of_matrix_speed']:>10.0%}"
            f"{row['largest_difference']:>13.1e}"
        )


if __name__ == "__main__":
    main()
