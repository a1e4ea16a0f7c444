"""Encoding on the CPU beside its peers: same weights and texts, in turns, in one run.

    python benchmarks/encoding.py [--passages 48] [--rounds 3] [--layers 12] [--draw FILE] [--json]

A BERT-base pair of random weights (arithmetic does not care which) with the demo pair's vocabulary
reads passages of about 160 tokens, made of the examples' own. Peers:

- the model card's loop: one text at a time, eager attention;
- transformers: padded batches in order of length, scaled-dot-product attention, its best batch;
- sentence-transformers: CLS pooling on the same BERT, at its default batch of 32 and its best;
- ONNX Runtime: the exported model, fused by its own optimizer for BERT, its best batch.

Each figure is the median over the rounds. The share is of this machine's own speed at BERT's matrix
multiplications in float32, the fastest way that torch has, measured in the same rounds; what the
last layer does for other tokens than [CLS] is not counted for anybody, for nothing reads it.
The peers are extras of nobody's: pip install sentence-transformers onnx onnxruntime onnxscript.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DPRConfig,
    DPRContextEncoder,
)

from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.benchmark import matrix_speed, operations
from rdr_qdrant.encoding.demo_model import demo_encoder
from rdr_qdrant.readers import open_source

WORDS = 125  # of running text: about 160 tokens
HIDDEN = 768
OURS = "rdr-qdrant"
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


def in_order_of_length(
    tokenizer: Any, size: int, tensors: str, run: Callable[[Any], np.ndarray]
) -> Encode:
    """Padded batches of texts of like length."""

    def encode(texts: list[str]) -> np.ndarray:
        ids = tokenizer(texts, truncation=True, max_length=256)["input_ids"]
        vectors = np.empty((len(texts), HIDDEN), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            data = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors=tensors)
            vectors[batch] = run(data)
        return vectors

    return encode


def transformers_batches(folder: Path, size: int) -> Encode:
    model = DPRContextEncoder.from_pretrained(folder).eval()

    def run(data: Any) -> np.ndarray:
        with torch.inference_mode():
            return model(**data).pooler_output.numpy()

    return in_order_of_length(AutoTokenizer.from_pretrained(folder), size, "pt", run)


def sentence_transformers(folder: Path, size: int | None) -> Encode:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    bert = Transformer(str(folder), max_seq_length=256)
    model = SentenceTransformer(modules=[bert, Pooling(HIDDEN, pooling_mode="cls")], device="cpu")
    options: dict[str, Any] = {} if size is None else {"batch_size": size}
    return lambda texts: model.encode(texts, show_progress_bar=False, **options)


class _Vectors(torch.nn.Module):
    """What is exported: padded ids and their mask to vectors."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=torch.zeros_like(input_ids),
        ).pooler_output


def export_onnx(folder: Path, side: Side, graph: Path) -> Path:
    """A DPR encoder as a plain ONNX graph: `input_ids`, `attention_mask` to `vectors`."""
    cls = getattr(transformers, side.class_name)
    model = cls.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.ones(2, 16, dtype=torch.long)
    shape = {0: "batch", 1: "length"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Vectors(model),
            (ids, torch.ones_like(ids)),
            str(graph),
            input_names=["input_ids", "attention_mask"],
            output_names=["vectors"],
            dynamic_axes={"input_ids": shape, "attention_mask": shape, "vectors": {0: "batch"}},
            dynamo=False,
        )
    return graph


def fuse_onnx(folder: Path, graph: Path) -> Path:
    """The exported graph, fused as ONNX Runtime's own guide for BERT has it."""
    from onnxruntime.transformers.optimizer import optimize_model

    config = AutoConfig.from_pretrained(folder)
    heads, hidden = config.num_attention_heads, config.hidden_size
    fused = graph.with_suffix(".fused.onnx")
    optimize_model(
        str(graph), model_type="bert", num_heads=heads, hidden_size=hidden
    ).save_model_to_file(str(fused))
    return fused


def onnx_runtime(folder: Path, model: Path, size: int) -> Encode:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def run(data: dict[str, np.ndarray]) -> np.ndarray:
        names = ("input_ids", "attention_mask")
        return session.run(None, {name: data[name] for name in names})[0]

    return in_order_of_length(tokenizer, size, "np", run)


def ours(folder: Path, precision: str) -> Encode:
    encoder = Encoder(Side.CONTEXT, str(folder), max_length=256, device="cpu", precision=precision)
    return lambda texts: encoder.encode(texts).vectors


def routes(dpr: Path, bert: Path) -> Iterator[tuple[str, Encode]]:
    yield OURS, ours(dpr, "fp32")
    yield f"{OURS}, int8", ours(dpr, "int8")
    yield "model card's loop", card_loop(dpr)
    for size in BEST_BATCHES:
        yield f"transformers, batch {size}", transformers_batches(dpr, size)
    yield "sentence-transformers, as installed", sentence_transformers(bert, None)
    for size in BEST_BATCHES:
        yield f"sentence-transformers, batch {size}", sentence_transformers(bert, size)
    exported = fuse_onnx(dpr, export_onnx(dpr, Side.CONTEXT, dpr / "plain.onnx"))
    for size in BEST_BATCHES:
        yield f"ONNX Runtime, batch {size}", onnx_runtime(dpr, exported, size)


def draw(rows: list[dict[str, Any]], file: Path, tokens: float) -> None:
    """Bars of passages a second, of so many tokens on average."""
    import matplotlib as mpl

    mpl.use("svg" if file.suffix == ".svg" else "agg")
    from matplotlib import pyplot

    rows = sorted(rows, key=lambda row: row["passages_per_second"])
    colours = ["#c2410c" if row["route"].startswith(OURS) else "#94a3b8" for row in rows]
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(rows) + 1.2), layout="constrained")
    speeds = [row["passages_per_second"] for row in rows]
    bars = axes.barh([row["route"] for row in rows], speeds, color=colours)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    cores = f"{torch.get_num_threads()} threads"
    axes.set_xlabel(f"passages of {tokens:.0f} tokens a second, BERT-base, {cores}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--draw", type=Path, metavar="FILE", help="draw it: .svg or .png")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    texts = texts_of(options.passages)
    with tempfile.TemporaryDirectory() as folder:
        dpr, bert = write_checkpoints(Path(folder), options.layers)
        tokenizer = AutoTokenizer.from_pretrained(dpr)
        lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=256).input_ids]
        config = AutoConfig.from_pretrained(dpr)
        every = list(routes(dpr, bert))
        reference = card_loop(dpr)(texts)
        errors = {name: float(np.abs(encode(texts) - reference).max()) for name, encode in every}
        speeds: dict[str, list[float]] = {name: [] for name, _ in every}
        shares: dict[str, list[float]] = {name: [] for name, _ in every}
        work = operations(config, lengths)
        for _ in range(options.rounds):
            for name, encode in every:
                machine = matrix_speed(config, "cpu", "fp32")
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
                    mine / its for mine, its in zip(speeds[OURS], speeds[name], strict=True)
                ),
                2,
            ),
            "share_of_matrix_speed": round(statistics.median(shares[name]), 3),
            "largest_difference": errors[name],
        }
        for name, _ in every
    ]
    mean = statistics.mean(lengths)
    if options.draw:
        draw(rows, options.draw, mean)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
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
