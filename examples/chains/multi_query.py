"""Asks a question in several ways and re-ranks the combined results.

    python examples/chains/multi_query.py

A chat model writes the variants; here a fake one returns them for one question. The passage says
"mercury", the question says "quicksilver".
"""

from corpus import COLLECTION, load_corpus
from langchain_classic.retrievers import MultiQueryRetriever
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from rerank import reranked

from rdr_qdrant import RDRRetriever

QUESTION = "Which Spanish town was for hundreds of years a leading source of quicksilver?"
VARIANTS = """Which Spanish town had the most important mercury mines?
Where in Spain was mercury mined for centuries?
Which mine in Spain supplied the world with mercury?"""


def variant_writer() -> BaseChatModel:
    return FakeListChatModel(responses=[VARIANTS])  # or any chat model: init_chat_model("...")


def main() -> None:
    embeddings, client = load_corpus()
    retriever = RDRRetriever(embeddings=embeddings, client=client, collection_name=COLLECTION, k=10)
    several = MultiQueryRetriever.from_llm(retriever, variant_writer(), include_original=True)
    print(f"? {QUESTION}")
    for name, variant in (("one question", retriever), ("several, re-ranked", reranked(several))):
        titles = [document.metadata["title"] for document in variant.invoke(QUESTION)[:3]]
        print(f"{name}: {', '.join(titles)}")


if __name__ == "__main__":
    main()
