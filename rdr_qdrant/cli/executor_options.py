"""`--engine`: where passages are encoded and written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli.option_groups import QdrantOptions, explicitly_set, read_api_key, refuse
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.ingest.ray import RayExecutor

LOCAL = "local"
RAY = "ray"

_ray = partial(typer.Option, rich_help_panel="Several GPUs or machines")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOptions:
    """The executor of a load, and the machines of a Ray cluster that it uses."""

    engine: Annotated[
        str,
        _ray(
            metavar="NAME",
            help="local: this process. ray: one encoder per GPU (or core), on this machine or in a "
            "cluster; needs a server.",
        ),
    ] = LOCAL
    address: Annotated[
        str | None,
        _ray(
            metavar="ADDRESS",
            help="Running Ray cluster, or auto for this machine's. Default: start Ray here.",
            hidden=True,
        ),
    ] = None
    gpus: Annotated[
        int | None,
        _ray(
            min=0,
            metavar="N",
            help="Number of encoders with one GPU each. Default: all GPUs.",
            hidden=True,
        ),
    ] = None
    workers: Annotated[
        int | None,
        _ray(
            min=1,
            metavar="N",
            help="Number of encoders without a GPU. Default: one per core.",
            hidden=True,
        ),
    ] = None

    def check(self, qdrant: QdrantOptions, *, encoded: bool) -> None:
        """Refuse what cannot work, before anything is opened.

        Args:
            qdrant: where the points go.
            encoded: the sources bring their vectors.

        Raises:
            UsageError: an unknown executor, options that it does not have, or no server.
        """
        from rdr_qdrant.client import DEFAULT_PATH, server_url

        if self.engine == LOCAL:
            refuse(explicitly_set(self), "is for --engine ray: add it, or leave the option out.")
        elif self.engine != RAY:
            raise UsageError(f"There is no engine {self.engine!r}. Known: {LOCAL}, {RAY}.")
        elif encoded:
            raise UsageError("The source is encoded already: leave out --engine ray.")
        elif server_url(qdrant.url, qdrant.path) is None:
            raise UsageError(
                f"--engine ray needs a Qdrant server (--url): the folder "
                f"{qdrant.path or DEFAULT_PATH} can be open in one process only."
            )

    @contextmanager
    def open(
        self, qdrant: QdrantOptions, embeddings: RDREmbeddings | None
    ) -> Iterator[RayExecutor | None]:
        """The Ray executor, shut down at the end; `None` to use this process.

        Args:
            qdrant: where the points go.
            embeddings: the encoders; `None` if the sources bring their vectors.
        """
        if self.engine == LOCAL or embeddings is None:
            yield None
            return
        from rdr_qdrant.client import server_url
        from rdr_qdrant.ingest.ray import RayExecutor

        with (
            redirect_stdout(sys.stderr),  # Ray prints there when a process died
            RayExecutor(
                embeddings,
                url=server_url(qdrant.url, None) or "",
                api_key=read_api_key(qdrant.api_key_file),
                allow_key_over_http=qdrant.allow_key_over_http,
                address=self.address,
                gpus=self.gpus,
                workers=self.workers,
            ) as executor,
        ):
            yield executor
