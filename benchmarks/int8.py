"""int8 encoding on the CPU beside the libraries' own: speed, and answer recall on XQuAD.

    python benchmarks/int8.py [--passages 48] [--rounds 5] [--layers 12] [--xquad FOLDER] [--json]

All routes get the same token ids. Speed is measured on a context encoder of random weights in the
shape of BERT-base, in turns, with passages of about 160 tokens. `to fp32` is the speed against
fp32, `int8 is` how many times faster our int8 is, by the clock and by CPU time (which other
programs disturb less); all are medians over the rounds. `distance` is that of the vectors from
fp32's, `batch` that of an input's vector in a batch from its vector alone (relative, means).
Batches hold inputs of similar length; each route runs at the fastest of BATCH_TOKENS.

Recall is that of the demo pair. Both encoders are quantized alike, but for our int8, where
`RDREmbeddings` encodes questions in fp32; another row has them in int8 too. `drift` is the distance
of its passages' vectors from fp32's, `top5` the percentage of fp32's best five passages among its
own. FOLDER holds passages.tsv and questions.tsv.

- rdr-qdrant in float32 and in int8;
- ONNX Runtime: `quantize_dynamic` of a plain export of the model, with one scale per weight matrix
  or per output channel, and of an export that its optimizer for BERT has fused;
- torchao: `Int8DynamicActivationInt8WeightConfig`, eager and compiled (needs a C++ compiler).

Needs the extras demo and int8. Without torchao (pip install torchao) its rows are left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCHINDUCTOR_FREEZING", "1")  # torchao's advice for CPUs

import numpy as np
import torch
import transformers

from benchmarks.encoding import export_onnx, fuse_onnx, texts_of, write_checkpoints
from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.batching import length_sorted_batches
from rdr_qdrant.encoding.demo_model import demo_encoder
from rdr_qdrant.encoding.tokenizer import EncoderInput, Tokens, passage_input, question_input
from rdr_qdrant.evaluation import answer_recall
from rdr_qdrant.readers import RejectLog, open_source, read_questions
from rdr_qdrant.registry import RECALL_AT

BATCH_TOKENS = (512, 1024, 2048)
FP32, INT8 = "rdr-qdrant, fp32", "rdr-qdrant, int8"
QUESTIONS_TOO = f"{INT8}, questions too"

Encode = Callable[[Tokens], np.ndarray]
PaddedForward = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Padded token ids and attention mask, int64 [n, longest], to vectors [n, dim]."""


def rdr_qdrant(folder: Path, side: Side, scratch: Path, *, precision: str) -> Encode:
    encoder = Encoder(side, str(folder), max_length=256, device="cpu", precision=precision)

    def encode(tokens: Tokens) -> np.ndarray:
        vectors = np.empty((len(tokens.ids), encoder.dimension), dtype=np.float32)
        for batch in encoder.encode_batches(tokens):
            vectors[batch.positions] = batch.vectors
        return vectors

    return encode


def in_padded_batches(forward: PaddedForward, max_tokens: int) -> Encode:
    def encode(tokens: Tokens) -> np.ndarray:
        found: list[Any] = [None] * len(tokens.ids)
        for batch in length_sorted_batches(tokens.ids.lengths, max_tokens):
            ids, mask = tokens.ids.select(batch).padded()
            for i, vector in zip(batch, forward(ids, mask.astype(np.int64)), strict=True):
                found[i] = vector
        return np.stack(found)

    return encode


def onnx_runtime(
    folder: Path, side: Side, scratch: Path, *, fused: bool, per_channel: bool
) -> PaddedForward:
    """`quantize_dynamic` of an exported model."""
    import onnxruntime
    from onnx import TensorProto
    from onnxruntime.quantization import quantize_dynamic

    graph = scratch / f"{side.name}.onnx"
    if not graph.exists():
        export_onnx(folder, side, graph)
    if fused:
        graph = fuse_onnx(folder, graph)
    quantized = graph.with_suffix(f".{per_channel}.onnx")
    types = {"DefaultTensorType": TensorProto.FLOAT}  # fused operators have no inferred type
    quantize_dynamic(graph, quantized, per_channel=per_channel, extra_options=types)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as ours
    session = onnxruntime.InferenceSession(str(quantized), settings, ["CPUExecutionProvider"])

    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    return forward


def torchao(folder: Path, side: Side, scratch: Path, *, compiled: bool) -> PaddedForward:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    model = getattr(transformers, side.class_name).from_pretrained(folder).eval()
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    if compiled:
        model = torch.compile(model, dynamic=True)

    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            output = model(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                token_type_ids=torch.zeros(ids.shape, dtype=torch.long),
            )
        return output.pooler_output.numpy()

    return forward


ROUTES: dict[str, Callable[[Path, Side, Path], Any]] = {
    FP32: partial(rdr_qdrant, precision="fp32"),
    INT8: partial(rdr_qdrant, precision="int8"),
    "ONNX Runtime, per matrix": partial(onnx_runtime, fused=False, per_channel=False),
    "ONNX Runtime, per channel": partial(onnx_runtime, fused=False, per_channel=True),
    "ONNX Runtime, fused, per matrix": partial(onnx_runtime, fused=True, per_channel=False),
    "ONNX Runtime, fused, per channel": partial(onnx_runtime, fused=True, per_channel=True),
    "torchao, eager": partial(torchao, compiled=False),
    "torchao, compiled": partial(torchao, compiled=True),
}
if find_spec("torchao") is None:
    ROUTES = {name: route for name, route in ROUTES.items() if not name.startswith("torchao")}
SAME_NUMBERS = ("torchao, compiled",)
"""Routes whose recall is that of another one: left out where recall is measured."""


def chooses_batches(route: Any) -> bool:
    return route.__name__ == "encode"


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def timed(encode: Encode, tokens: Tokens) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time in all threads."""
    started, cpu_started = time.perf_counter(), time.process_time()
    encode(tokens)
    return time.perf_counter() - started, time.process_time() - cpu_started


def batch_dependence(encode: Encode, tokens: Tokens) -> float:
    """Relative distance between vectors of inputs in one batch and of each alone."""
    few = range(min(8, len(tokens.ids)))
    alone = np.concatenate([encode(Tokens(tokens.ids.select([i]), [False])) for i in few])
    together = encode(Tokens(tokens.ids.select(few), [False] * len(few)))
    return float((np.linalg.norm(together - alone, axis=1) / np.linalg.norm(alone, axis=1)).mean())


def median_ratio(
    slower: list[tuple[float, float]], faster: list[tuple[float, float]], clock: int
) -> float:
    return statistics.median(a[clock] / b[clock] for a, b in zip(slower, faster, strict=True))


def fastest(route: Any, tokens: Tokens) -> Encode:
    """The route at its fastest batch size, compiled and warmed up."""
    if chooses_batches(route):
        route(tokens)
        return route
    candidates = [in_padded_batches(route, size) for size in BATCH_TOKENS]
    candidates[0](tokens)
    return min(candidates, key=lambda encode: min(timed(encode, tokens)[1] for _ in range(2)))


def measure_speed(layers: int, passages: int, rounds: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = write_checkpoints(Path(scratch), layers)
        encoder = Encoder(Side.CONTEXT, str(folder), max_length=256, device="cpu")
        tokens = encoder.tokenize(texts_of(passages)).result()
        ready = {}
        for name, load in ROUTES.items():
            ready[name] = fastest(load(folder, Side.CONTEXT, Path(scratch)), tokens)
            progress(f"{name}: ready")
        exact = ready[FP32](tokens)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ready}
        for _ in range(rounds):
            for name, encode in ready.items():
                seconds[name].append(timed(encode, tokens))
            progress(f"{ ({name: round(s[-1][0], 2) for name, s in seconds.items()}) }")
        found = {}
        for name, encode in ready.items():
            apart = np.linalg.norm(encode(tokens) - exact, axis=1) / np.linalg.norm(exact, axis=1)
            found[name] = {
                "passages_per_second": passages / statistics.median(s for s, _ in seconds[name]),
                "times_fp32": median_ratio(seconds[FP32], seconds[name], 0),
                "int8_is_times": median_ratio(seconds[name], seconds[INT8], 0),
                "int8_is_times_cpu": median_ratio(seconds[name], seconds[INT8], 1),
                "distance": float(apart.mean()),
                "batch": batch_dependence(encode, tokens),
            }
        return found


def measure_recall(xquad: Path) -> dict[str, dict[str, float]]:
    """For each route answer recall, and how near it is to fp32.

    `@k` is answer recall in percent; `drift` the mean relative distance of the passages' vectors
    from fp32's; `top5` the percentage of fp32's best five passages that are among its own.
    """
    passages = list(open_source(xquad / "passages.tsv").passages(RejectLog()))
    questions = list(read_questions(xquad / "questions.tsv", RejectLog()))
    inputs: dict[Side, list[EncoderInput]] = {
        Side.CONTEXT: [passage_input(p.title, p.text) for p in passages],
        Side.QUESTION: [question_input(q.text) for q in questions],
    }
    found = {}
    for name, load in ROUTES.items():
        if name in SAME_NUMBERS:
            continue
        vectors = {}
        for side, texts in inputs.items():
            folder = demo_encoder(side)
            tokens = (
                Encoder(side, str(folder), max_length=256, device="cpu").tokenize(texts).result()
            )
            with tempfile.TemporaryDirectory() as scratch:
                route = load(folder, side, Path(scratch))
                encode = route if chooses_batches(route) else in_padded_batches(route, 2048)
                vectors[side] = encode(tokens)
        if name == FP32:
            exact = vectors
        drift = np.linalg.norm(vectors[Side.CONTEXT] - exact[Side.CONTEXT], axis=1)
        drift /= np.linalg.norm(exact[Side.CONTEXT], axis=1)
        asked = {name: vectors[Side.QUESTION]}
        if name == INT8:
            asked = {INT8: exact[Side.QUESTION], QUESTIONS_TOO: vectors[Side.QUESTION]}
        for label, question_vectors in asked.items():
            scores = question_vectors @ vectors[Side.CONTEXT].T
            best = np.argsort(-scores, axis=1, kind="stable")[:, : max(RECALL_AT)]
            if name == FP32:
                exact_best = best
            texts_found = ([passages[i].text for i in row] for row in best)
            recall = answer_recall(texts_found, [q.answers for q in questions])
            same = [len({*a[:5]} & {*b[:5]}) for a, b in zip(best, exact_best, strict=True)]
            found[label] = {f"@{k}": value for k, value in recall.items()}
            found[label] |= {"drift": float(drift.mean()), "top5": 20 * float(np.mean(same))}
            progress(f"{label}: {found[label]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--xquad", type=Path, metavar="FOLDER", help="also measure answer recall")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer's advice, for each graph
    transformers.utils.logging.disable_progress_bar()
    speed = measure_speed(options.layers, options.passages, options.rounds)
    recall = measure_recall(options.xquad) if options.xquad else {}
    if options.json:
        print(json.dumps({"speed": speed, "recall": recall}, indent=1))
        return
    heads = "".join(
        f"{head:>10}" for head in ("psgs/s", "to fp32", "int8 is", "CPU time", "distance", "batch")
    )
    heads += "".join(f"{head:>8}" for head in recall.get(FP32, {}))
    print(f"{'':34}{heads}")
    for name in dict.fromkeys([*speed, *recall]):
        row = speed.get(name, speed[INT8])
        figures = "".join(f"{value:8.2f}" for value in recall.get(name, {}).values())
        print(
            f"{name:34}{row['passages_per_second']:>10.2f}{row['times_fp32']:>9.2f}x"
            f"{row['int8_is_times']:>9.2f}x{row['int8_is_times_cpu']:>9.2f}x"
            f"{row['distance']:>10.4f}{row['batch']:>10.4f}{figures}"
        )


if __name__ == "__main__":
    main()
