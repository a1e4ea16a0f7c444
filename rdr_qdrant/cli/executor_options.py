"""`--engine`: where passages are encoded and written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.ingest.ray import RayEngine

LOCAL = "local"
RAY = "ray"

_MACHINES = "Many encoders"
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="local: this process. ray: one encoder for each GPU (or core), in this machine or in "
        "a cluster; needs a server.",
        rich_help_panel=_MACHINES,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="A running Ray cluster; auto: this machine's. Without it Ray is started here.",
        rich_help_panel=_MACHINES,
    ),
]
GPUsOption = Annotated[
    int | None,
    typer.Option(
        "--gpus",
        min=0,
        metavar="N",
        help="So many encoders with a GPU each. Default: all there are.",
        rich_help_panel=_MACHINES,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Without GPUs: so many encoders with a core each. Default: one a core.",
        rich_help_panel=_MACHINES,
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say: the engine, the cluster, and what of it."""

    name: str
    address: str | None
    gpus: int | None
    workers: int | None


def check_engine(wanted: Wanted, *, url: str | None, path: Path | None, encoded: bool) -> None:
    """Refuse what cannot be, before anything is opened.

    Raises:
        UsageError: an unknown engine, options that it has not, or no server to write to.
    """
    from rdr_qdrant.client import DEFAULT_PATH, server_url

    name = wanted.name
    if name == LOCAL:
        given = {
            "--address": wanted.address,
            "--gpus": wanted.gpus,
            "--workers": wanted.workers,
        }
        if names := [option for option, value in given.items() if value is not None]:
            raise UsageError(f"{names[0]} is for --engine ray.")
    elif name != RAY:
        raise UsageError(f"There is no engine {name!r}. Known: {LOCAL}, {RAY}.")
    elif encoded:
        raise UsageError("What is encoded already needs no --engine ray: leave it out.")
    elif server_url(url, path) is None:
        raise UsageError(
            f"--engine ray needs a Qdrant server (--url): the folder {path or DEFAULT_PATH} can be "
            "open in one process only."
        )


@contextmanager
def opened_engine(
    wanted: Wanted,
    embeddings: RDREmbeddings | None,
    *,
    url: str | None,
    api_key_file: Path | None,
    allow_key_over_http: str | None,
) -> Iterator[RayEngine | None]:
    """The engine for as long as the load takes; `None` for this process."""
    if wanted.name == LOCAL or embeddings is None:
        yield None
        return
    from rdr_qdrant.client import read_key_file, server_url
    from rdr_qdrant.ingest.ray import RayEngine

    with RayEngine(
        embeddings,
        url=server_url(url, None) or "",
        api_key=read_key_file(api_key_file) if api_key_file else None,
        allow_key_over_http=allow_key_over_http,
        address=wanted.address,
        gpus=wanted.gpus,
        workers=wanted.workers,
    ) as engine:
        yield engine
