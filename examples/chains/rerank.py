"""Re-ranks the retriever's top twenty passages with BM25.

    python examples/chains/rerank.py

A dense retriever matches the meaning of a question, BM25 its rare words: names, numbers, terms.
Both rankings are fused (reciprocal rank fusion, Cormack et al. 2009), and the gain is measured as
answer recall on every fourth example question, over the dense mode and over the hybrid one, which
compares words already, in all passages: re-ranking by them again costs there. A cross-encoder,
which brings something new, would go in the same place.
"""

import re
from collections.abc import Sequence

import numpy as np
from corpus import COLLECTION, DATA, load_corpus
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from rank_bm25 import BM25Okapi

from rdr_qdrant import RDRRetriever, answer_recall
from rdr_qdrant.readers import read_questions

FUSION_CONSTANT = 60
"""A larger value weighs the first ranks more evenly; this is the value of Cormack et al."""


class LexicalReranker(BaseDocumentCompressor):
    """Fuses the retriever's ranking with BM25's and returns the `top_n` passages.

    A passage found by several questions counts once, with its best score.
    """

    top_n: int = 3

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> list[Document]:
        by_score = sorted(documents, key=lambda document: document.metadata["score"])
        found = list({document.id: document for document in by_score}.values())
        texts = [words(f"{d.metadata['title']} {d.page_content}") for d in found]
        rankings = [
            ranks([document.metadata["score"] for document in found]),
            ranks(BM25Okapi(texts).get_scores(words(query))),
        ]
        fused = sum(1 / (FUSION_CONSTANT + ranking) for ranking in rankings)
        return [found[i] for i in np.argsort(-fused, kind="stable")[: self.top_n]]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def ranks(scores: Sequence[float]) -> np.ndarray:
    """Return the rank of each score: 1 for the highest, 2 for the next, ..."""
    return np.argsort(np.argsort(-np.asarray(scores), kind="stable")) + 1


def reranked(retriever: BaseRetriever, top_n: int = 3) -> ContextualCompressionRetriever:
    return ContextualCompressionRetriever(
        base_retriever=retriever, base_compressor=LexicalReranker(top_n=top_n)
    )


def main() -> None:
    embeddings, client = load_corpus()
    dense = RDRRetriever(embeddings=embeddings, client=client, collection_name=COLLECTION, k=20)
    hybrid = dense.model_copy(update={"mode": "hybrid"})
    questions = list(read_questions(DATA / "questions.tsv", reject=print))[::4]
    print(f"{len(questions)} questions")
    print("answer recall, %         @1     @3     @5")
    for name, variant in (
        ("dense", dense),
        ("dense, re-ranked", reranked(dense, 5)),
        ("hybrid", hybrid),
        ("hybrid, re-ranked", reranked(hybrid, 5)),
    ):
        found = variant.batch([question.text for question in questions])
        texts = [[document.page_content for document in documents] for documents in found]
        recall = answer_recall(texts, [q.answers for q in questions], k=(1, 3, 5))
        print(f"{name:<18}", *(f"{value:6.2f}" for value in recall.values()))


if __name__ == "__main__":
    main()
