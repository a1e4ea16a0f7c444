"""Checks of the image and the compose file that need no container."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from examples.rag_backend.settings import Settings
from rdr_qdrant.cli.app import app as command_line

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "examples" / "rag_backend" / "Dockerfile").read_text("utf-8")


@pytest.fixture
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"])


def test_every_port_is_on_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_compose_settings_are_valid(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = dict(re.findall(r"(RAG_\w+)=(\S+)", DOCKERFILE))
    for name, value in {**image, **services["backend"]["environment"]}.items():
        filled = re.sub(r"\$\{(\w+)(?::-(.*?))?\}", lambda m: m[2] or "", value or "")
        monkeypatch.setenv(name, filled)
        if name.startswith("RAG_"):
            assert name.removeprefix("RAG_").lower() in Settings.model_fields
    monkeypatch.setenv("QDRANT_API_KEY", "potato")
    settings = Settings()
    assert settings.qdrant_url == "http://qdrant:6333"
    assert settings.allow_key_over_http == "qdrant"
    assert settings.qdrant_api_key
    assert settings.api_key is None


def test_the_ingest_service_runs_an_existing_command(services: dict[str, Any]) -> None:
    program, command, *options = services["ingest"]["entrypoint"]
    assert program == "rdr-qdrant"
    commands = [c.name or c.callback.__name__ for c in command_line.registered_commands]
    assert command in commands
    host = urlsplit(services["ingest"]["environment"]["QDRANT_URL"]).hostname
    assert options == ["--allow-key-over-http", host]


def test_the_image_copies_existing_files_that_dockerignore_allows() -> None:
    through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert set(copied) == through
    assert all((ROOT / source).exists() for source in copied)
    assert re.search(r"^USER (?!root)", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE
