"""What a whole load costs beside encoding alone: from a file into an embedded collection, in turns.

    python benchmarks/ingest.py [--pair base | demo] [--passages N] [--rounds 3] [--json]

`base` is a BERT-base pair of random weights (arithmetic does not care which), as large as RDR;
`demo` is some seven times as fast, so that the rest weighs more. Both sides have the encoder loaded
and warm; a load reads the file, asks for what is there, encodes, writes, and verifies every point.
Ratios are medians over the rounds. On shared machines the clock's differ by more than what is
measured, so processor time is told too, and how much of a load its encoder did not run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.cls_forward import Forward
from rdr_qdrant.encoding.demo_model import demo_encoder
from rdr_qdrant.encoding.token_ids import IntArray, TokenIds
from rdr_qdrant.encoding.transfer import Fetch
from rdr_qdrant.readers import RejectLog, open_source

Times = tuple[float, float]
"""Seconds by the clock, and of processor time."""


def base_pair(folder: Path) -> RDREmbeddings:
    """A BERT-base pair of random weights."""
    import torch
    from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

    torch.manual_seed(0)
    vocabulary = (demo_encoder(Side.CONTEXT) / "vocab.txt").read_bytes()
    for name, cls in (("context", DPRContextEncoder), ("question", DPRQuestionEncoder)):
        cls(DPRConfig()).save_pretrained(folder / name)
        (folder / name / "vocab.txt").write_bytes(vocabulary)
    return RDREmbeddings(
        context_encoder=str(folder / "context"), question_encoder=str(folder / "question")
    )


def write_corpus(file: Path, count: int) -> None:
    """The passages of the examples, over and over, each time with other words at the end."""
    passages = list(open_source(example_data() / "passages.tsv").passages(RejectLog()))
    with file.open("w") as out:
        for number, passage in zip(range(count), itertools.cycle(passages), strict=False):
            text = f"{passage.text} This is number {number}."
            row = {"id": str(number), "title": passage.title, "text": text}
            out.write(json.dumps(row) + "\n")


class Watched(Forward):
    """A forward pass that knows how long it ran, on a CPU."""

    def __init__(self, encoder: Encoder) -> None:
        self.seconds = 0.0
        self._forward = encoder._forward
        encoder._forward = self

    def batches(self, lengths: IntArray, max_tokens: int) -> Iterator[list[int]]:
        return self._forward.batches(lengths, max_tokens)

    def __call__(self, ids: TokenIds) -> Fetch:
        started = time.perf_counter()
        try:
            return self._forward(ids)
        finally:
            self.seconds += time.perf_counter() - started


def encode_alone(embeddings: RDREmbeddings, file: Path) -> Times:
    passages = list(open_source(file).passages(RejectLog()))
    started, cpu = time.perf_counter(), time.process_time()
    window = embeddings.passages_at_a_time()
    for start in range(0, len(passages), window):
        embeddings.encode_passages(passages[start : start + window])
    return time.perf_counter() - started, time.process_time() - cpu


def load(embeddings: RDREmbeddings, file: Path, folder: Path) -> Times:
    started, cpu = time.perf_counter(), time.process_time()
    client = connect(path=folder)
    loader = QdrantLoader(embeddings=embeddings, client=client, collection_name="c")
    report = loader.load_sources([open_source(file)])
    client.close()
    times = time.perf_counter() - started, time.process_time() - cpu
    assert report.uploaded == report.verified == report.points
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", choices=["base", "demo"], default="base")
    parser.add_argument("--passages", type=int, help="default: 240 with base, 960 with demo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count = options.passages or {"base": 240, "demo": 960}[options.pair]
    with tempfile.TemporaryDirectory() as scratch:
        demo = options.pair == "demo"
        embeddings = RDREmbeddings(model="demo") if demo else base_pair(Path(scratch) / "pair")
        embeddings.warm_up()
        file = Path(scratch) / "passages.jsonl"
        write_corpus(file, count)
        encode_alone(embeddings, file)
        watched = Watched(embeddings.encoder(Side.CONTEXT))
        alone: list[Times] = []
        whole: list[Times] = []
        idle: list[float] = []
        for number in range(options.rounds):
            alone.append(encode_alone(embeddings, file))
            before = watched.seconds
            whole.append(load(embeddings, file, Path(scratch) / f"store-{number}"))
            idle.append(1 - (watched.seconds - before) / whole[-1][0])

    def ratio(which: int) -> float:
        pairs = zip(whole, alone, strict=True)
        return round(statistics.median(w[which] / a[which] for w, a in pairs), 3)

    result = {
        "pair": options.pair,
        "passages": count,
        "encoding_alone_seconds": round(statistics.median(a[0] for a in alone), 2),
        "whole_load_seconds": round(statistics.median(w[0] for w in whole), 2),
        "whole_is_times": ratio(0),
        "in_processor_time": ratio(1),
        "encoder_idle": f"{statistics.median(idle):.1%}",
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name.replace('_', ' '):24}{value:>10}")


if __name__ == "__main__":
    main()
