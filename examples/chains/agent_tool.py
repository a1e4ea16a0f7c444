"""Gives an agent the collection as a search tool.

    python examples/chains/agent_tool.py

The tool returns the passages as text for the model and as documents for your code.
"""

from corpus import COLLECTION, load_corpus
from fake_chat_model import FakeChatModel
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.tools import BaseTool, create_retriever_tool

from rdr_qdrant import RDRRetriever

QUESTION = "From which Ethiopian lake does the Blue Nile issue?"


def passages_tool() -> BaseTool:
    """Build a tool from the retriever; its description tells the model when to call it."""
    embeddings, client = load_corpus()
    retriever = RDRRetriever(embeddings=embeddings, client=client, collection_name=COLLECTION, k=3)
    return create_retriever_tool(
        retriever,
        "search_passages",
        "Finds passages about geography, history, science and the arts. Ask a whole question.",
        document_prompt=PromptTemplate.from_template("[{id}] {title}: {page_content}"),
        document_separator="\n",
        response_format="content_and_artifact",
    )


def main() -> None:
    agent = create_agent(FakeChatModel(), [passages_tool()])  # any chat model that calls tools
    messages = agent.invoke({"messages": [("human", QUESTION)]})["messages"]
    print(f"? {QUESTION}")
    for message in messages:
        if isinstance(message, ToolMessage):
            titles = [document.metadata["title"] for document in message.artifact]
            print(f"{message.name}: {', '.join(titles)}")
    print(messages[-1].text)


if __name__ == "__main__":
    main()
