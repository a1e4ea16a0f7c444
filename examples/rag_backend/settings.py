"""What is set from outside: environment variables `RAG_...`, and Qdrant's own two."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rdr_qdrant.cli.demo_command import COLLECTION as DEMO_COLLECTION
from rdr_qdrant.cli.demo_command import QUESTIONS as DEMO_QUESTIONS


def _rate(text: str) -> str:
    from limits import parse

    parse(text)
    return text


Rate = Annotated[str, AfterValidator(_rate)]
"""As the package `limits` writes it: `60/minute`, `5/second`."""


class Settings(BaseSettings):
    """Settings of one back end; each field is the environment variable `RAG_<FIELD>`.

    Attributes:
        collection: the collection that is searched.
        qdrant_url: a server, also `QDRANT_URL`; without it the folder `qdrant_path`.
        qdrant_path: folder of an embedded Qdrant.
        qdrant_api_key: the server's key, also `QDRANT_API_KEY`.
        allow_key_over_http: the one other host that may be sent that key unencrypted.
        model: the named pair of encoders; by default the one that the collection names.
        context_encoder, question_encoder: instead of a name, two hub ids or folders.
        chat_model: a model of langchain's `init_chat_model`, such as `openai:gpt-5-mini`; its
            provider's own variables hold the key. Without one the best sentence is quoted.
        api_key: what callers must present; without one anyone who reaches the port may ask.
        without_key: listen beyond this machine without a key (behind a proxy that asks for one).
        host, port: where to listen.
        k, most_k: passages a question, by default and at most.
        question_characters: most characters of a question.
        body_bytes: most bytes of a request's body.
        search_rate, ask_rate: requests of one address.
        requests_at_once: requests that are worked on; one more gets 503.
        search_seconds, answer_seconds: time to find passages, and to answer from them.
        shutdown_seconds: time for requests under way when the back end is told to end.
        watch_seconds: pause between two looks at Qdrant.
        quoted_passages: the best passages, whose sentences are compared with the question.
        examples: questions that the page offers; those of the demo where that is the collection.
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
    question_characters: int = Field(default=1000, ge=1)
    body_bytes: int = Field(default=16 * 1024, ge=1024)
    search_rate: Rate = "1000/minute"
    ask_rate: Rate = "120/minute"
    requests_at_once: int = Field(default=64, ge=1)
    search_seconds: float = Field(default=10.0, gt=0)
    answer_seconds: float = Field(default=60.0, gt=0)
    shutdown_seconds: int = Field(default=20, ge=1)
    watch_seconds: float = Field(default=2.0, gt=0)
    quoted_passages: int = Field(default=3, ge=1)
    examples: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _key_beyond_this_machine(self) -> Self:
        if not (self.api_key or self.without_key or _is_this_machine(self.host)):
            raise ValueError(
                f"on {self.host} anyone in the network could ask: set RAG_API_KEY to a secret of "
                "your own, or RAG_WITHOUT_KEY=true where something before it asks for one"
            )
        if self.k > self.most_k:
            raise ValueError(f"RAG_K is {self.k}, more than RAG_MOST_K, {self.most_k}")
        return self

    @property
    def example_questions(self) -> tuple[str, ...]:
        """Questions that the page offers."""
        if self.examples is not None:
            return self.examples
        return DEMO_QUESTIONS if self.collection == DEMO_COLLECTION else ()


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
