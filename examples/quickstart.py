"""Loads passages into a collection and searches them, with the whole Python interface.

    python examples/quickstart.py

Uses the `demo` pair and an embedded Qdrant, so it runs anywhere; comments show the alternatives.
"""

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, RDRRetriever, connect

PLAYS = [
    Passage(id="1", title="Faust", text="A tragedy in two parts by Johann Wolfgang von Goethe."),
    Passage(id="2", title="Hamlet", text="A tragedy by William Shakespeare, set in Denmark."),
    Passage(id="3", title="Tartuffe", text="A comedy by Molière about a pious impostor."),
]


def main() -> None:
    client = connect(path="./qdrant_data")  # or url="http://localhost:6333"
    embeddings = RDREmbeddings(model="demo")  # or RDREmbeddings(), the RDR pair from the hub

    loader = QdrantLoader(embeddings=embeddings, client=client, collection_name="plays")
    report = loader.load(PLAYS)
    print(f"{report.uploaded} passages loaded, {report.unchanged} unchanged")

    retriever = RDRRetriever(embeddings=embeddings, client=client, collection_name="plays", k=2)
    for document in retriever.invoke("Who wrote about Faust?"):
        print(f"{document.metadata['score']:.3f}  {document.metadata['title']}")


if __name__ == "__main__":
    main()
