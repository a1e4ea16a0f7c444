"""Options that several commands share, and what they open."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rdr_qdrant.errors import UsageError
from rdr_qdrant.registry import DEFAULT_MAX_LENGTH, PAIRS

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.encoding.device import Precision

_debug = False
_opened: list[QdrantClient] = []


def wants_traceback() -> bool:
    """Whether `--debug` was given."""
    return _debug


def _set_debug(wanted: bool) -> bool:
    global _debug
    _debug = _debug or wanted
    return wanted


CollectionOption = Annotated[
    str, typer.Option("--collection", "-c", metavar="NAME", help="Name of the collection.")
]


def parse_count(text: str) -> int:
    """`21M`, `1.5M`, `300k` or `21,015,324` as a number."""
    digits = str(text).strip().replace(",", "").replace("_", "").lower()
    factor = {"k": 10**3, "m": 10**6, "b": 10**9}.get(digits[-1:], 1)
    try:
        number = Decimal(digits[:-1] if factor > 1 else digits) * factor
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number != int(number) or number < 1:
        raise typer.BadParameter(f"{text!r} is not a number such as 300k, 1.5M or 21,015,324.")
    return int(number)


CountOption = Annotated[
    int,
    typer.Option(
        "--passages", parser=parse_count, metavar="N", help="Number of passages: 300k, 21M, ..."
    ),
]
JSONOption = Annotated[
    bool, typer.Option("--json", help="One JSON value on stdout and nothing else.")
]
DebugOption = Annotated[
    bool,
    typer.Option("--debug", callback=_set_debug, is_eager=True, help="Show tracebacks of errors."),
]
UnverifiedOption = Annotated[
    bool,
    typer.Option(
        "--allow-unverified",
        help="Use a collection that does not say which encoders made it.",
    ),
]

_WHERE = "Where"
URLOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="A Qdrant server; its key in QDRANT_API_KEY.",
        rich_help_panel=_WHERE,
    ),
]
APIKeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="The server's key is in this file, instead of in QDRANT_API_KEY.",
        rich_help_panel=_WHERE,
    ),
]
AllowKeyOverHTTPOption = Annotated[
    str | None,
    typer.Option(
        "--allow-key-over-http",
        metavar="HOST",
        help="Send the key unencrypted to this host. To others only over https.",
        rich_help_panel=_WHERE,
    ),
]
GRPCPortOption = Annotated[
    int | None,
    typer.Option(
        "--grpc-port",
        metavar="PORT",
        help="Talk gRPC with the server, at this port (6334 where nothing else was set).",
        rich_help_panel=_WHERE,
    ),
]
PathOption = Annotated[
    Path | None,
    typer.Option(
        "--path",
        metavar="DIR",
        help="An embedded Qdrant in this folder. With neither: $QDRANT_URL, else ./qdrant_data.",
        rich_help_panel=_WHERE,
    ),
]

VectorNameOption = Annotated[
    str,
    typer.Option(
        "--vector-name",
        metavar="NAME",
        help="The named vector to use. Default: the unnamed one.",
        show_default=False,
    ),
]

_HOW = "How to search"
RescoreOption = Annotated[
    bool,
    typer.Option(
        "--rescore/--no-rescore",
        help="Score the best of a quantized collection again by the original vectors; without, "
        "scores are approximate, and originals on disk are not read.",
        rich_help_panel=_HOW,
    ),
]
OversamplingOption = Annotated[
    float | None,
    typer.Option(
        "--oversampling",
        min=1.0,
        metavar="FACTOR",
        help="With rescoring: that many times as many candidates.",
        rich_help_panel=_HOW,
    ),
]
HnswEfOption = Annotated[
    int | None,
    typer.Option(
        "--hnsw-ef",
        min=1,
        metavar="N",
        help="Candidates that the search through the index keeps; more is more exact.",
        rich_help_panel=_HOW,
    ),
]

_WHICH = "Which encoders"
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="A named pair (see rdr-qdrant models). Default: the one the collection was made with, "
        "else rdr-single-trivia.",
        rich_help_panel=_WHICH,
    ),
]
ContextEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--context-encoder",
        metavar="X",
        help="Hub id or folder; together with --question-encoder, instead of --model.",
        rich_help_panel=_WHICH,
    ),
]
QuestionEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--question-encoder", metavar="Y", help="Hub id or folder.", rich_help_panel=_WHICH
    ),
]
RevisionOption = Annotated[
    str | None,
    typer.Option(
        "--revision",
        metavar="REV",
        help="Branch, tag or commit of both encoders, where they are hub ids.",
        rich_help_panel=_WHICH,
    ),
]
MaxLengthOption = Annotated[
    int,
    typer.Option(
        "--max-length",
        min=8,
        metavar="TOKENS",
        help="Most tokens of one input; the same for passages and questions of a collection.",
        rich_help_panel=_WHICH,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", help="auto, cpu, cuda or mps.", rich_help_panel=_WHICH
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="auto (fp32 on a CPU, fp16 on a GPU), fp32, bf16, fp16, or int8 on a CPU.",
        rich_help_panel=_WHICH,
    ),
]
DEFAULT_TOKENS = DEFAULT_MAX_LENGTH


def open_client(
    url: str | None,
    path: Path | None,
    api_key_file: Path | None = None,
    allow_key_over_http: str | None = None,
    grpc_port: int | None = None,
) -> QdrantClient:
    """The Qdrant that `--url` and `--path` mean; it is closed when the command ends."""
    from rdr_qdrant.client import connect, read_key_file

    key = read_key_file(api_key_file) if api_key_file else None
    client = connect(
        url=url,
        path=path,
        api_key=key,
        allow_key_over_http=allow_key_over_http,
        grpc_port=grpc_port,
    )
    _opened.append(client)
    return client


def close_clients() -> None:
    """Close what the command opened, however it ended: a folder is free then."""
    while _opened:
        _opened.pop().close()


def open_embeddings(
    client: QdrantClient,
    collection: str,
    *,
    model: str | None,
    context_encoder: str | None,
    question_encoder: str | None,
    revision: str | None,
    max_length: int,
    device: str,
    precision: str,
) -> RDREmbeddings:
    """The encoders that the options mean; with none named, those that made the collection."""
    from rdr_qdrant.collection import Collection

    if not (model or context_encoder or question_encoder):
        recorded = Collection(client, collection).recorded_model()
        model = recorded if recorded in PAIRS else None
    return make_embeddings(
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        revision=revision,
        max_length=max_length,
        device=device,
        precision=precision,
    )


def make_embeddings(
    *,
    model: str | None,
    context_encoder: str | None,
    question_encoder: str | None,
    revision: str | None,
    max_length: int,
    device: str,
    precision: str,
) -> RDREmbeddings:
    """The encoders that the options mean; with none named, the default pair."""
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.encoding.device import PRECISIONS

    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise UsageError(f"There is no precision {precision!r}. Known: {known}.")
    if model and (context_encoder or question_encoder):
        raise UsageError(
            "--model and --context-encoder/--question-encoder name two different pairs: "
            "leave one of them out."
        )
    return RDREmbeddings(
        model=model,
        context_encoder=context_encoder,
        question_encoder=question_encoder,
        revision=revision,
        max_length=max_length,
        device=device,
        precision=cast("Precision", precision),
    )


def search_params(
    rescore: bool, oversampling: float | None, hnsw_ef: int | None
) -> models.SearchParams:
    """What `--rescore`, `--oversampling` and `--hnsw-ef` mean."""
    if oversampling is not None and not rescore:
        raise UsageError(
            "--oversampling fetches more to rescore, and --no-rescore rescores none: leave one out."
        )
    from qdrant_client import models

    quantization = models.QuantizationSearchParams(rescore=rescore, oversampling=oversampling)
    return models.SearchParams(hnsw_ef=hnsw_ef, quantization=quantization)
