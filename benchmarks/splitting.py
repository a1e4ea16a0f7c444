"""Compare ways of splitting texts by the answer recall that they give.

    python benchmarks/splitting.py DOCS QUESTIONS [--model demo] [--json]

DOCS are texts as `rdr-qdrant ingest` takes them, rows or documents, before they are split.
QUESTIONS are those of `rdr-qdrant eval`. Every way loads them into a collection of its own, in a
temporary folder, and is searched exactly. Intervals hold 95 % of 2,000 bootstrap samples of the
questions; those of the last column are of the difference to blocks of 100 words at k = 1, in the
same samples.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rdr_qdrant import EmbeddedQdrant, QdrantLoader, RDREmbeddings
from rdr_qdrant.evaluation import (
    BootstrapInterval,
    evaluate,
    mean_interval,
    paired_difference,
)
from rdr_qdrant.evaluation.run_files import QuestionResult
from rdr_qdrant.ingest.partitions import ReadOptions
from rdr_qdrant.ingest.split_preview import SplitPreview
from rdr_qdrant.readers import open_source, read_questions
from rdr_qdrant.searcher import PassageSearcher
from rdr_qdrant.splitter import SplitSettings

WAYS = (
    SplitSettings(100, "blocks"),
    SplitSettings(120, "blocks"),
    SplitSettings(80),
    SplitSettings(100),
    SplitSettings(120),
    SplitSettings(120, overlap=20),
    SplitSettings(120, overlap=40),
    SplitSettings(150),
)
RECALL_AT = (1, 5, 20, 50, 100)
SAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("docs", help="texts that are not split yet")
    parser.add_argument("questions", help="questions with answers")
    parser.add_argument("--model", default="demo", help="encoder pair (default: demo)")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    options = parser.parse_args()
    embeddings = RDREmbeddings(model=options.model)
    with tempfile.TemporaryDirectory() as folder, EmbeddedQdrant(Path(folder)) as client:
        found = [measure(way, options.docs, options.questions, embeddings, client) for way in WAYS]
    rows = summarize(found)
    if options.json:
        print(json.dumps({"model": options.model, "ways": rows}))
        return
    columns = "  ".join(f"{f'@{k}':>19}" for k in RECALL_AT)
    print(f"{'':<52}{'passages':>9}{'<20':>5}{'tokens':>9}  {columns}  {'@1 - blocks of 100':>19}")
    for row in rows:
        cells = [interval(row["recall"][str(k)]) for k in RECALL_AT] + [interval(row["gain"])]
        print(
            f"{row['way']:<52}{row['passages']:>9,}{row['under_20_words']:>5,}{row['tokens']:>9,}  "
            + "  ".join(f"{cell:>19}" for cell in cells)
        )


def measure(
    way: SplitSettings, docs: str, questions: str, embeddings: RDREmbeddings, client: Any
) -> dict[str, Any]:
    """Load the texts split in this way, and ask all questions."""
    name = str(way).replace(" ", "-").replace(",", "")
    loader = QdrantLoader(embeddings=embeddings, client=client, collection_name=name, index=False)
    report = loader.load_sources([open_source(docs)], split=way)
    searcher = PassageSearcher(embeddings, client, name)
    ranks: list[float] = []

    def note_rank(result: QuestionResult) -> None:
        ranks.append(result.has_answer.index(True) if True in result.has_answer else np.inf)

    asked = read_questions(questions, lambda reject: None)
    evaluate(searcher, asked, k=RECALL_AT, exact=True, writers=[note_rank])
    client.delete_collection(name)
    sources = [open_source(docs)]
    preview = SplitPreview(
        sources=sources,
        options=ReadOptions.of(sources, way, embeddings),
        tokens=embeddings.token_counter(),
        max_length=embeddings.max_length,
        on_reject=lambda reject: None,
    )
    tokens = sum(
        embeddings.token_counter().count([*one.text.split(), *one.title.split()])
        for one in preview.passages()
    )
    return {
        "way": str(way),
        "passages": report.points,
        "under_20_words": preview.sizes().under_20_words,
        "tokens": tokens,
        "ranks": np.array(ranks),
    }


def summarize(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Recall in percent with its interval, and the gain over the first way."""
    base = found[0]["ranks"] < 1
    rows = []
    for one in found:
        hits = {k: one["ranks"] < k for k in RECALL_AT}
        rows.append(
            {
                **{key: value for key, value in one.items() if key != "ranks"},
                "recall": {
                    str(k): percent(mean_interval(hit, resamples=SAMPLES))
                    for k, hit in hits.items()
                },
                "gain": percent(paired_difference(hits[1], base, resamples=SAMPLES)),
            }
        )
    return rows


def percent(bounds: BootstrapInterval) -> list[float]:
    """The mean and the bounds in percent."""
    return [round(100 * number, 2) for number in bounds]


def interval(numbers: Sequence[float]) -> str:
    value, low, high = numbers
    return f"{value:.2f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    main()
