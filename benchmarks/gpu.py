"""Speed of encoding on a GPU, against the GPU's own matrix speed and two other libraries.

    PYTHONPATH=. python benchmarks/gpu.py --json gpu.json --draw gpu.png

Needs torch, transformers and numpy, this repository, a GPU, no network and no other file: the
encoders are random, in the shape of BERT-base, and so are the passages of 100 words. Where
sentence-transformers and matplotlib are installed, the first is measured too and the second draws.
It stops at `--minutes`, 5 by default, and then says what is missing.

Each route encodes the same passages, tokenization included; the median of three rounds counts.
`--device cpu --layers 1 --passages 32` tries the script where there is no GPU, in float32; its
figures then say nothing of one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (  # type: ignore[attr-defined]
    AutoConfig,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DPRConfig,
    DPRContextEncoder,
)
from transformers.utils import logging

from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.benchmark import matrix_speed, operations
from rdr_qdrant.encoding.device import dtype_of
from rdr_qdrant.encoding.tokenizer import InputTokenizer
from rdr_qdrant.encoding.tokenizer_files import load_tokenizer

WIKIPEDIA_PASSAGES = 21_015_324
WORDS_OF_A_PASSAGE = 100
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PADDED_BATCHES = 32, 256, 512
"""Batch sizes of the other libraries: as installed, and two that fill a GPU."""
PRECISIONS = {"cuda": ("fp16", "bf16"), "cpu": ("fp32",)}
BUDGETS = 16_384, 32_768, 65_536, 131_072
PASSAGES_COMPARED = 64
"""Passages whose vectors are compared with transformers' in float32."""
TIMED_ROUNDS = 3

Encode = Callable[[list[str]], np.ndarray]


class OutOfTimeError(Exception):
    """The minutes are over."""


class Clock:
    """Ends the measurements in time, so that what was measured is still written."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise OutOfTimeError


def write_encoder(folder: Path, layers: int, side: Side = Side.CONTEXT) -> Path:
    """A random DPR encoder with a vocabulary of common letters, as a checkpoint folder."""
    torch.manual_seed(0)
    config = DPRConfig(num_hidden_layers=layers)
    getattr(transformers, side.class_name)(config).save_pretrained(folder)
    words = [a + b for a in LETTERS for b in LETTERS]
    pieces = [f"##{one}" for one in (*LETTERS, *words)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *words, *pieces]
    tokens += [f"[unused{number}]" for number in range(config.vocab_size - len(tokens))]
    (folder / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    return folder


def passages(count: int) -> list[str]:
    """Random passages of 100 words, on average 1.4 tokens a word, as in Wikipedia."""
    random = np.random.default_rng(0)
    letters = np.array(list(LETTERS))
    texts = []
    for _ in range(count):
        sizes = random.choice([1, 2, 4], size=WORDS_OF_A_PASSAGE, p=[0.1, 0.5, 0.4])
        texts.append(" ".join("".join(random.choice(letters, size)) for size in sizes))
    return texts


def ours(folder: Path, device: str, precision: str, budget: int | None = None) -> Encode:
    encoder = Encoder(
        Side.CONTEXT,
        str(folder),
        max_length=256,
        device=device,
        precision=precision,
        batch_tokens=budget,
    )
    return lambda texts: encoder.encode(texts).vectors


def tokenized_before(folder: Path, device: str, precision: str, texts: list[str]) -> Encode:
    """The forward pass alone, from token ids on the host to vectors on the host."""
    encoder = Encoder(Side.CONTEXT, str(folder), max_length=256, device=device, precision=precision)
    tokens = encoder.tokenize(texts).result()
    few = encoder.tokenize(texts[:PASSAGES_COMPARED]).result()

    def encode(wanted: list[str]) -> np.ndarray:
        given = tokens if len(wanted) > PASSAGES_COMPARED else few
        vectors = np.empty((len(given.truncated), encoder.dimension), dtype=np.float32)
        for batch in encoder.encode_batches(given):
            vectors[batch.positions] = batch.vectors
        return vectors

    return encode


def transformers_forward(folder: Path, device: str, dtype: torch.dtype, size: int) -> Encode:
    """`DPRContextEncoder` on padded batches of texts of like length."""
    model = DPRContextEncoder.from_pretrained(folder, dtype=dtype).eval().to(device)
    tokenizer = BertTokenizerFast.from_pretrained(folder)

    def encode(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            data = tokenizer(
                [texts[i] for i in batch],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=256,
            ).to(device)
            with torch.inference_mode():
                vectors[batch] = model(**data).pooler_output.float().cpu().numpy()
        return vectors

    return encode


def sentence_transformers(folder: Path, device: str, dtype: torch.dtype, size: int) -> Encode:
    """The same BERT with `[CLS]` pooling, as sentence-transformers runs it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    bert = folder / "bert"
    if not bert.exists():
        dpr = DPRContextEncoder.from_pretrained(folder)
        config = {k: v for k, v in dpr.config.to_dict().items() if k in BertConfig().to_dict()}
        bert_model = BertModel(
            BertConfig(**{**config, "model_type": "bert"}), add_pooling_layer=False
        )
        bert_model.load_state_dict(dpr.ctx_encoder.bert_model.state_dict())
        bert_model.save_pretrained(bert)
        (bert / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
        BertTokenizerFast.from_pretrained(bert).save_pretrained(bert)
    transformer = Transformer(str(bert), max_seq_length=256, model_kwargs={"dtype": dtype})
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")
    model = SentenceTransformer(modules=[transformer, pooling], device=device)
    return lambda texts: model.encode(texts, batch_size=size, show_progress_bar=False)


def routes(
    folder: Path, device: str, precisions: Sequence[str], texts: list[str]
) -> Iterator[tuple[str, str, Callable[[], Encode]]]:
    """Name, precision and loader of each route, the most telling first."""
    usual, *others = precisions
    yield "rdr-qdrant", usual, lambda: ours(folder, device, usual)
    before = "rdr-qdrant, tokenized before"
    yield before, usual, lambda: tokenized_before(folder, device, usual, texts)
    for size in PADDED_BATCHES:
        for name, load in (
            ("sentence-transformers", sentence_transformers),
            ("transformers", transformers_forward),
        ):
            yield (
                f"{name}, batch {size}",
                usual,
                partial(load, folder, device, dtype_of(usual), size),
            )
    for precision in others:
        yield "rdr-qdrant", precision, partial(ours, folder, device, precision)
    for budget in BUDGETS:
        yield (
            f"rdr-qdrant, {budget:,} tokens a batch",
            usual,
            partial(ours, folder, device, usual, budget),
        )


def seconds_of(encode: Encode, texts: list[str], rounds: int, clock: Clock) -> float:
    """Median of some rounds, after one on a part."""
    encode(texts[: len(texts) // 4 + 1])
    found = []
    for _ in range(rounds):
        clock.check()
        started = time.perf_counter()
        encode(texts)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def difference(vectors: np.ndarray, exact: np.ndarray) -> float:
    """Mean distance to the vectors in float32, relative to their length."""
    apart = np.linalg.norm(vectors - exact, axis=1) / np.linalg.norm(exact, axis=1)
    return float(apart.mean())


def question_milliseconds(encode: Encode, clock: Clock) -> float:
    """Median time of one question of 12 words."""
    question = " ".join(passages(1)[0].split()[:12])
    encode([question])
    found = []
    for _ in range(50):
        clock.check()
        started = time.perf_counter()
        encode([question])
        found.append(1000 * (time.perf_counter() - started))
    return statistics.median(found)


def tokenizing_speed(folder: Path, threads: int) -> float:
    """Passages a second that a process of so many tokenizer threads tokenizes, into arrays."""
    code = (
        "import sys, time; from pathlib import Path;"
        "from benchmarks.gpu import passages;"
        "from rdr_qdrant.encoding.tokenizer import InputTokenizer;"
        "from rdr_qdrant.encoding.tokenizer_files import load_tokenizer;"
        "run = InputTokenizer(load_tokenizer(Path(sys.argv[1]), 30522), 256);"
        "texts = passages(4096); run(texts[:512]); s = time.perf_counter(); run(texts);"
        "print(len(texts) / (time.perf_counter() - s))"
    )
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def measure(options: argparse.Namespace, folder: Path, found: dict[str, Any]) -> None:
    """Fill `found` as far as there is time."""
    clock = Clock(options.minutes)
    device = options.device
    texts = passages(options.passages)
    write_encoder(folder, options.layers)
    reference = transformers_forward(folder, device, torch.float32, 32)
    exact = reference(texts[:PASSAGES_COMPARED])
    config = AutoConfig.from_pretrained(folder)
    lengths = InputTokenizer(load_tokenizer(folder, config.vocab_size), 256)(texts).ids.lengths
    work = operations(config, lengths.tolist())
    usual, *_ = precisions = PRECISIONS[device.partition(":")[0]]
    speeds = {precision: matrix_speed(config, device, precision) for precision in precisions}
    found["matrix_tflops"] = {p: round(speed / 1e12, 2) for p, speed in speeds.items()}
    found["tokens_a_passage"] = round(float(lengths.mean()), 1)
    milliseconds = question_milliseconds(ours(folder, device, usual), clock)
    found["question_milliseconds"] = round(milliseconds, 3)
    for name, precision, load in routes(folder, device, precisions, texts):
        clock.check()
        try:
            encode = load()
        except ImportError as error:
            found["missing"].append(f"{name}: {error}")
            continue
        seconds = seconds_of(encode, texts, TIMED_ROUNDS, clock)
        found["routes"].append(
            {
                "route": name,
                "precision": precision,
                "passages_per_second": round(len(texts) / seconds, 1),
                "tokens_per_second": round(int(lengths.sum()) / seconds),
                "share_of_matrix_speed": round(work / seconds / speeds[precision], 3),
                "difference_to_fp32": difference(encode(texts[:PASSAGES_COMPARED]), exact),
                "wikipedia_minutes": round(WIKIPEDIA_PASSAGES * seconds / len(texts) / 60, 1),
            }
        )
        print(row_text(found["routes"][-1]), file=sys.stderr, flush=True)
    cores = [n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)]
    for threads in cores:
        clock.check()
        found["tokenizing"][str(threads)] = round(tokenizing_speed(folder, threads))


def row_text(row: dict[str, Any]) -> str:
    return (
        f"{row['route']:38}{row['precision']:>6}{row['passages_per_second']:>11,.0f}"
        f"{row['tokens_per_second']:>13,}{row['share_of_matrix_speed']:>10.0%}"
        f"{row['difference_to_fp32']:>12.1e}{row['wikipedia_minutes']:>10,.1f}"
    )


def draw(found: dict[str, Any], file: Path) -> None:
    """Bars of passages a second."""
    import matplotlib as mpl

    mpl.use("svg" if file.suffix == ".svg" else "agg")
    from matplotlib import pyplot

    rows = sorted(found["routes"], key=lambda row: row["passages_per_second"])
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(rows) + 1.2), layout="constrained")
    bars = axes.barh(
        [f"{row['route']} ({row['precision']})" for row in rows],
        [row["passages_per_second"] for row in rows],
        color=["#c2410c" if row["route"].startswith("rdr") else "#94a3b8" for row in rows],
    )
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set_xlabel(
        f"passages of {found['tokens_a_passage']:.0f} tokens a second, {found['device']}"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--passages", type=int, default=8192)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--draw", type=Path, metavar="FILE", help=".svg or .png")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        print("There is no GPU here that torch can use. Try --device cpu.", file=sys.stderr)
        return 1
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(options.device) if on_gpu else options.device,
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "passages": options.passages,
        "layers": options.layers,
        "routes": [],
        "tokenizing": {},
        "missing": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            measure(options, Path(folder), found)
        except OutOfTimeError:
            found["missing"].append(f"all that did not fit into {options.minutes:g} minutes")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.draw:
        try:
            draw(found, options.draw)
        except ImportError as error:
            found["missing"].append(f"the picture: {error}")
    matrix = ", ".join(f"{v:,} TFLOP/s in {k}" for k, v in found.get("matrix_tflops", {}).items())
    print(f"{found['device']}: matrices {matrix}; {options.layers} layers")
    print(f"a question: {found.get('question_milliseconds')} ms\n")
    print(f"{'':38}{'':6}{'passages/s':>11}{'tokens/s':>13}{'of matrix':>10}", end="")
    print(f"{'difference':>12}{'Wikipedia':>10}")
    print("\n".join(row_text(row) for row in found["routes"]))
    for threads, speed in found["tokenizing"].items():
        print(f"tokenizing with {threads} threads: {speed:,} passages/s")
    for reason in found["missing"]:
        print(f"not measured: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
