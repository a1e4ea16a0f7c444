"""A fake chat model, so that the examples run without a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool


class FakeChatModel(BaseChatModel):
    """Quotes the sentence of its passages that shares the most words with the question.

    Passages are lines `[id] title: text`, in a system message or a tool result. With a tool and no
    passages yet, it calls the tool with the question. Replace it with a real chat model.
    """

    tool: str | None = None

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Sequence[BaseTool], **_: Any) -> FakeChatModel:
        return self.model_copy(update={"tool": tools[0].name})

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        question = next(m.text for m in reversed(messages) if isinstance(m, HumanMessage))
        lines = "\n".join(m.text for m in messages if not isinstance(m, HumanMessage)).splitlines()
        passages = [
            found.groups() for line in lines if (found := re.match(r"\[(.+?)\] .*?: (.+)", line))
        ]
        if passages or not self.tool:
            answer = AIMessage(_quote(passages, question))
        else:
            call = {"name": self.tool, "args": {"query": question}, "id": "call-1"}
            answer = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=answer)])


def _quote(passages: list[tuple[str, ...]], question: str) -> str:
    asked = _words(question)
    sentences = [
        (sentence, label)
        for label, passage in passages
        for sentence in re.split(r"(?<=[.!?])\s+", passage)
    ]
    if not sentences:
        return "I do not know."
    best, label = max(sentences, key=lambda one: len(asked & _words(one[0])))
    return f"{best} [{label}]"


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}
