"""Answers questions from passages with a retrieval chain in LCEL.

    python examples/chains/retrieval_chain.py

The result holds the documents besides the answer, so that a reader can check it.
"""

from corpus import COLLECTION, load_corpus
from fake_chat_model import FakeChatModel
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnablePassthrough

from rdr_qdrant import RDRRetriever

PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from these passages only, and name the one you used:\n\n{passages}"),
        ("human", "{question}"),
    ]
)
QUESTIONS = [
    "Which large lake does the Rhine flow through soon after leaving the high Alps?",
    "What is the deepest lake in the world?",
]


def retrieval_chain() -> Runnable:
    """Build a chain from a question to `question`, `documents` and `answer`."""
    embeddings, client = load_corpus()
    retriever = RDRRetriever(embeddings=embeddings, client=client, collection_name=COLLECTION, k=3)
    model = FakeChatModel()  # or any chat model: init_chat_model("...")
    answer = (
        RunnablePassthrough.assign(passages=lambda found: as_text(found["documents"]))
        | PROMPT
        | model
        | StrOutputParser()
    )
    found = RunnableParallel(question=RunnablePassthrough(), documents=retriever)
    return found.assign(answer=answer)


def as_text(documents: list[Document]) -> str:
    """Format one line per passage, with the id that the answer cites."""
    return "\n".join(f"[{d.id}] {d.metadata['title']}: {d.page_content}" for d in documents)


def main() -> None:
    chain = retrieval_chain()
    for result in chain.batch(QUESTIONS):
        print(f"? {result['question']}\n{result['answer']}")
        for document in result["documents"]:
            score, title = document.metadata["score"], document.metadata["title"]
            print(f"    [{document.id}] {score:.3f}  {title}")


if __name__ == "__main__":
    main()
