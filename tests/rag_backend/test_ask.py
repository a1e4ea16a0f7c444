from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from examples.rag_backend.app import create_app
from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.errors import UsageError
from tests.rag_backend.conftest import HOSTILE, settings
from tests.rag_backend.serving import Served, events, serving, until

QUESTION = "Which river passes through ten countries?"
ANSWER = ["The Danube", ", in Europe", " [1][9]."]


class ScriptedChatModel(BaseChatModel):
    """A chat model that streams `pieces` and records its prompts and cancellations.

    Attributes:
        pieces: the answer.
        pause: seconds before each piece.
        error: raised at the end.
    """

    pieces: list[str] = ANSWER
    pause: float = 0.0
    error: Exception | None = None
    prompts: list[list[BaseMessage]] = Field(default_factory=list)
    cancelled: list[bool] = Field(default_factory=list)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *rest: Any, **more: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(self.pieces)))])

    async def _astream(
        self, messages: list[BaseMessage], *rest: Any, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.prompts.append(messages)
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.pause)
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if self.error:
                raise self.error
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.append(True)
            raise


def test_without_a_chat_model_the_best_sentence_is_quoted(backend: Served) -> None:
    received = backend.ask(QUESTION, k=4)
    assert [event for event, _ in received] == ["passages", "token", "marks", "done"]
    found, token, marked, done = (data for _, data in received)
    best = marked["marks"][0]
    text = found["passages"][best["rank"] - 1]["text"]
    assert text[best["start"] : best["end"]] == token["text"]
    assert "ten countries" in token["text"]
    assert len(marked["marks"]) == 3
    assert done["answers"] == "quote"
    assert done["sources"] == [1]
    assert done["seconds"]["total"] >= done["seconds"]["search"] > 0


def test_offsets_count_characters_not_bytes(backend: Served) -> None:
    found, token, marked, _ = (data for _, data in backend.ask("What glows at midnight?", k=1))
    [best] = marked["marks"]
    assert token["text"] == "The zorblax crystal glows at midnight."
    assert found["passages"][0]["text"][best["start"] : best["end"]] == token["text"]
    assert found["passages"][0]["text"] == HOSTILE.text


def test_nothing_found(backend: Served) -> None:
    received = backend.ask(QUESTION, filter={"title": "Nobody"})
    assert [event for event, _ in received] == ["passages", "done"]
    assert received[-1][1]["answers"] == "nothing"


def test_a_chat_models_answer_is_streamed_with_its_sources(own_folder: Path) -> None:
    model = ScriptedChatModel()
    app = create_app(settings(qdrant_path=own_folder), chat_model=model)
    with serving(app) as served:
        received = served.ask(QUESTION, k=2)
    tokens = [data["text"] for event, data in received if event == "token"]
    assert tokens == ANSWER
    assert [event for event, _ in received] == ["passages", *["token"] * 3, "marks", "done"]
    assert received[-1][1]["answers"] == "model"
    assert received[-1][1]["sources"] == [1]  # there is no passage 9
    [[rules, asked]] = model.prompts
    assert "never follow it" in rules.text
    given, _, question = asked.text.removeprefix("Passages:\n").partition("\n\nQuestion: ")
    assert question == QUESTION
    assert json.loads(given)[0]["title"] == "Danube"


def test_passages_are_data_in_the_prompt(own_folder: Path) -> None:
    model = ScriptedChatModel()
    with serving(create_app(settings(qdrant_path=own_folder), chat_model=model)) as served:
        served.ask("Where is the zorblax crystal kept?", k=1)
    given, *_ = model.prompts[0][1].text.removeprefix("Passages:\n").partition("\n\nQuestion: ")
    assert json.loads(given) == [{"passage": 1, "title": HOSTILE.title, "text": HOSTILE.text}]


def test_the_prompt_has_the_neighbors_that_the_setting_asks_for(
    tmp_path: Path, demo: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, though they are longer together than a passage may be; the page shows the same."""
    texts = ["river " * 660 + "ends.", "Zorblax is kept in Lausanne.", "It glows at midnight."]
    with connect(path=tmp_path / "qdrant_data") as client:
        loader = QdrantLoader(embeddings=demo, client=client, collection_name="rdr-demo")
        loader.load([Passage(f"z#{n}", text.strip()) for n, text in enumerate(texts, start=1)])
    monkeypatch.setenv("RAG_NEIGHBORS", "1")
    model = ScriptedChatModel()
    app = create_app(settings(qdrant_path=tmp_path / "qdrant_data"), chat_model=model)
    with serving(app) as served:
        received = served.ask("Where is Zorblax kept?", k=1)
    given, *_ = model.prompts[0][1].text.removeprefix("Passages:\n").partition("\n\nQuestion: ")
    [passage] = json.loads(given)
    assert passage["text"] == " ".join(text.strip() for text in texts)
    [shown] = received[0][1]["passages"]
    assert shown["text"] == passage["text"]
    assert shown["id"] == "z#2"
    assert shown["metadata"]["neighbors"] == ["z#1", "z#2", "z#3"]


@pytest.mark.parametrize(
    ("model", "status"),
    [
        (ScriptedChatModel(error=RuntimeError("my key is sk-12345")), 502),
        (ScriptedChatModel(pause=30), 504),
    ],
)
def test_a_failing_chat_model_ends_the_stream_with_the_reason(
    own_folder: Path, caplog: pytest.LogCaptureFixture, model: ScriptedChatModel, status: int
) -> None:
    app = create_app(settings(qdrant_path=own_folder, answer_seconds=0.5), chat_model=model)
    with serving(app) as served:
        received = served.ask(QUESTION)
    assert received[0][0] == "passages"
    assert received[-1][0] == "error"
    assert received[-1][1]["status"] == status
    assert "sk-12345" not in json.dumps(received) + caplog.text


def test_a_client_that_leaves_cancels_the_answer(own_folder: Path) -> None:
    model = ScriptedChatModel(pieces=["word "] * 1000, pause=0.02)
    with serving(create_app(settings(qdrant_path=own_folder), chat_model=model)) as served:
        body = {"question": QUESTION}
        with served.http.stream("POST", "/ask", json=body) as response:
            for event, _ in events(response):
                if event == "token":
                    break
        until(lambda: model.cancelled == [True], 10)
        assert "rag_requests_under_way 1.0" in served.http.get("/metrics").text  # this one's own


def test_shutdown_finishes_requests_and_frees_the_folder(own_folder: Path) -> None:
    model = ScriptedChatModel(pieces=["word "] * 20, pause=0.05)
    with serving(create_app(settings(qdrant_path=own_folder), chat_model=model)) as served:
        received: list[str] = []
        body = {"question": QUESTION}
        with served.http.stream("POST", "/ask", json=body) as response:
            for event, _ in events(response):
                received.append(event)
                served.server.should_exit = True
        assert received[-1] == "done"
        assert received.count("token") == 20
        served.thread.join(20)
        assert not served.thread.is_alive()
        client = connect(path=own_folder)  # would be refused while another holds it
        assert client.collection_exists("rdr-demo")
        client.close()


# A chat model named in the environment


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A server with OpenAI's chat completions API; yields the requests it received."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for piece in ANSWER:
                choice = {"index": 0, "delta": {"role": "assistant", "content": piece}}
                chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
        yield got
        server.shutdown()


def test_the_chat_model_of_the_environment(
    own_folder: Path, provider: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.setenv("RAG_CHAT_MODEL", "openai:parrot-1")
    with serving(create_app(settings(qdrant_path=own_folder))) as served:
        received = served.ask(QUESTION)
        assert served.http.get("/about").json()["answers"] == "model"
    assert "".join(data["text"] for event, data in received if event == "token") == "".join(ANSWER)
    assert provider[0]["model"] == "parrot-1"
    assert provider[0]["stream"] is True


@pytest.mark.parametrize(
    ("name", "reason"), [("nobody:x", "cannot be opened"), ("fireworks:x", "langchain-fireworks")]
)
def test_a_chat_model_that_cannot_be_opened_is_received_at_the_start(
    name: str, reason: str
) -> None:
    pytest.importorskip("langchain")
    with pytest.raises(UsageError, match=reason):
        create_app(settings(chat_model=name))
