"""Settings, read from the environment: `RAG_...`, and Qdrant's own two variables."""

from __future__ import annotations

import difflib
import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rdr_qdrant.cli.demo_command import COLLECTION as DEMO_COLLECTION
from rdr_qdrant.cli.demo_command import QUESTIONS as DEMO_QUESTIONS
from rdr_qdrant.collection import Mode
from rdr_qdrant.collection.neighbors import MAX_NEIGHBORS


def _check_rate(text: str) -> str:
    from limits import parse

    parse(text)
    return text


Rate = Annotated[str, AfterValidator(_check_rate)]
"""A rate in the notation of the package `limits`: `60/minute`, `5/second`."""


def _split(given: Any) -> Any:
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else given


def _check_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(
            f"{error}; name addresses or networks, such as 10.0.0.5,10.1.0.0/16"
        ) from None


Proxies = Annotated[
    tuple[Annotated[str, AfterValidator(_check_network)], ...], NoDecode, BeforeValidator(_split)
]


class Settings(BaseSettings):
    """Settings of the back end; each field is the environment variable `RAG_<FIELD>`.

    Attributes:
        collection: the collection to search.
        qdrant_url: URL of a Qdrant server, also `QDRANT_URL`; by default `qdrant_path` is used.
        qdrant_path: folder of an embedded Qdrant.
        qdrant_api_key: API key of the server, also `QDRANT_API_KEY`.
        allow_key_over_http: a host, besides this machine, to which that key may be sent
            unencrypted.
        model: name of the encoder pair; by default the one that the collection names.
        context_encoder, question_encoder: two hub ids or folders instead of a named pair.
        chat_model: a model for langchain's `init_chat_model`, such as `openai:gpt-5-mini`; its
            provider's own variables hold the key. By default the best sentence is quoted.
        api_key: key that clients must send; without it, anyone who reaches the port may ask.
        without_key: allow `host` beyond this machine without a key (behind an authenticating
            proxy).
        host, port: address to listen on.
        k, most_k: number of passages per question, default and maximum.
        mode: how requests that name no mode are searched: `dense`, `bm25` or `hybrid`. The last two
            need a collection with BM25.
        neighbors: number of parts of a split text that are added before and after each passage, for
            the answer and on the page.
        question_characters: maximum length of a question.
        body_bytes: maximum size of a request body.
        trusted_proxies: addresses or networks of proxies, separated by commas, whose
            `X-Forwarded-For` names the client; by default nobody's does.
        search_rate, ask_rate: maximum rate of requests per client address.
        requests_at_once: maximum number of concurrent requests; further ones get 503.
        connections: maximum number of open connections; further ones are closed.
        head_seconds: time limit for the head of a request to arrive.
        search_seconds, answer_seconds: time limits of a search and of an answer.
        shutdown_seconds: time that requests in progress get to finish after a signal.
        watch_seconds: interval of the health checks of Qdrant.
        quoted_passages: number of top passages from which sentences are quoted.
        examples: questions offered on the page, a JSON list; by default those of the demo if its
            collection is searched.
    """

    model_config = SettingsConfigDict(
        env_prefix="RAG_",
        env_ignore_empty=True,
        extra="forbid",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    collection: str = DEMO_COLLECTION
    qdrant_url: str | None = Field(
        default=None, validation_alias=AliasChoices("RAG_QDRANT_URL", "QDRANT_URL")
    )
    qdrant_path: Path = Path("./qdrant_data")
    qdrant_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("RAG_QDRANT_API_KEY", "QDRANT_API_KEY")
    )
    allow_key_over_http: str | None = None
    model: str | None = None
    context_encoder: str | None = None
    question_encoder: str | None = None
    chat_model: str | None = None
    api_key: SecretStr | None = None
    without_key: bool = False
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    k: int = Field(default=5, ge=1)
    most_k: int = Field(default=50, ge=1)
    mode: Mode = "dense"
    neighbors: int = Field(default=0, ge=0, le=MAX_NEIGHBORS)
    question_characters: int = Field(default=1000, ge=1)
    body_bytes: int = Field(default=16 * 1024, ge=1024)
    trusted_proxies: Proxies = ()
    search_rate: Rate = "1000/minute"
    ask_rate: Rate = "120/minute"
    requests_at_once: int = Field(default=64, ge=1)
    connections: int = Field(default=500, ge=1)
    head_seconds: float = Field(default=10.0, gt=0)
    search_seconds: float = Field(default=10.0, gt=0)
    answer_seconds: float = Field(default=60.0, gt=0)
    shutdown_seconds: int = Field(default=20, ge=1)
    watch_seconds: float = Field(default=2.0, gt=0)
    quoted_passages: int = Field(default=3, ge=1)
    examples: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_variables(cls, values: Any) -> Any:
        names = [name.upper() for name in cls.model_fields]
        for variable in sorted(os.environ):
            prefix, _, name = variable.upper().partition("_")
            if prefix == "RAG" and name not in names:
                close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
                hint = f"did you mean RAG_{close[0]}?" if close else "see settings.py for all"
                raise ValueError(f"unknown setting {variable}; {hint}")
        return values

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if not (self.api_key or self.without_key or _is_loopback(self.host)):
            raise ValueError(
                f"RAG_HOST={self.host} is open to the network: set RAG_API_KEY to a secret, or "
                "RAG_WITHOUT_KEY=true if a proxy in front authenticates clients"
            )
        if self.k > self.most_k:
            raise ValueError(f"RAG_K={self.k} is more than RAG_MOST_K={self.most_k}")
        return self

    @property
    def example_questions(self) -> tuple[str, ...]:
        """Questions offered on the page."""
        if self.examples is not None:
            return self.examples
        return DEMO_QUESTIONS if self.collection == DEMO_COLLECTION else ()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
