"""Re-ranking the first 20 hits of mode dense and of mode hybrid: does it pay?

    python benchmarks/reranking.py ../shared/data/xquad

Re-rankers that need no download: the one of examples/chains/rerank.py, which fuses the ranks with
BM25's among these hits, and one that fuses them with the ranks of each passage's best sentence by
the pair's own inner product. Questions and passages are those of docs/hybrid.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from langchain_core.documents import Document

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "chains"))

from rerank import FUSION_CONSTANT, LexicalReranker, ranks

from examples.rag_backend.extractive_answer import split_sentences
from rdr_qdrant import (
    CollectionSettings,
    EmbeddedQdrant,
    Passage,
    QdrantLoader,
    RDREmbeddings,
    answer_recall,
)
from rdr_qdrant.readers import open_source, read_questions
from rdr_qdrant.retriever import hit_to_document
from rdr_qdrant.searcher import PassageSearcher

HITS = 20
DEPTHS = (1, 5)
BATCH = 100

embeddings = RDREmbeddings(model="demo")
sentence_vectors: dict[str, np.ndarray] = {}


def vectors_of_sentences(document: Document) -> np.ndarray:
    """Embed the sentences of a document with its title, once; float32 [sentences, dim]."""
    key = str(document.id)
    if key not in sentence_vectors:
        title, text = document.metadata["title"], document.page_content
        spans = list(split_sentences(text)) or [(0, len(text))]
        sentences = [Passage("", text[start:end], title) for start, end in spans]
        sentence_vectors[key] = embeddings.encode_passages(sentences)
    return sentence_vectors[key]


def by_best_sentence(found: Sequence[Document], question: np.ndarray) -> list[Document]:
    """Fuse the ranking with that of each document's best sentence."""
    best = [float((vectors_of_sentences(one) @ question).max()) for one in found]
    places = np.arange(1, len(found) + 1)
    fused = 1 / (FUSION_CONSTANT + places) + 1 / (FUSION_CONSTANT + ranks(best))
    return [found[i] for i in np.argsort(-fused, kind="stable")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with XQuAD's passages and questions")
    data = parser.parse_args().data
    questions = list(read_questions(data / "questions.jsonl", print))
    texts = [question.text for question in questions]
    by_words = LexicalReranker(top_n=HITS)
    for source, split in (("passages.tsv", None), ("paragraphs.jsonl", 120)):
        sentence_vectors.clear()
        with tempfile.TemporaryDirectory() as folder, EmbeddedQdrant(Path(folder)) as client:
            loader = QdrantLoader(
                embeddings=embeddings,
                client=client,
                collection_name="c",
                collection_settings=CollectionSettings(bm25="english"),
            )
            loader.load_sources([open_source(data / source)], split=split)
            searcher = PassageSearcher(embeddings, client, "c")
            prepared = searcher.prepare(texts, "hybrid")
            for mode in ("dense", "hybrid"):
                found = [
                    [hit_to_document(hit) for hit in hits]
                    for start in range(0, len(texts), BATCH)
                    for hits in searcher.search_prepared(
                        prepared.part(start, start + BATCH), k=HITS, mode=mode
                    )
                ]
                rankings = {
                    "as found": found,
                    "by words": [
                        by_words.compress_documents(documents, text)
                        for documents, text in zip(found, texts, strict=True)
                    ],
                    "by best sentence": [
                        by_best_sentence(documents, vector)
                        for documents, vector in zip(found, prepared.vectors, strict=True)
                    ],
                }
                for name, ranked in rankings.items():
                    recall = answer_recall(
                        [[document.page_content for document in one] for one in ranked],
                        [question.answers for question in questions],
                        k=DEPTHS,
                    )
                    shown = " ".join(f"{value:.2f}" for value in recall.values())
                    print(f"{source:<17} {mode:<7} {name:<17} {shown}", flush=True)


if __name__ == "__main__":
    main()
