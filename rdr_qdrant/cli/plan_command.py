"""`rdr-qdrant plan`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rdr_qdrant.cli import options
from rdr_qdrant.cli.bench_command import SECONDS, WIKIPEDIA, measured
from rdr_qdrant.cli.plan_output import print_plan
from rdr_qdrant.cli.stdout import print_json
from rdr_qdrant.errors import UsageError
from rdr_qdrant.planning import GPUS, QUANTIZATIONS, Needs, Rate, plan
from rdr_qdrant.planning import inputs as needs

if TYPE_CHECKING:
    from rdr_qdrant.encoding.benchmark import EncodingSpeed

EXAMPLE = "rdr-qdrant plan --passages 1000000 --gpu l4"
_ENCODING = "Encoding"
_LOADING = "Loading"


def plan_command(
    passages: Annotated[int, typer.Option(min=1, metavar="N", help="How many.")] = WIKIPEDIA,
    dimension: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Numbers of a vector.",
            show_default=f"{needs.DIMENSION}, or with --measure those of the encoder",
        ),
    ] = None,
    text_bytes: Annotated[
        int, typer.Option(min=0, metavar="BYTES", help="Of a passage's text, on the mean.")
    ] = needs.TEXT_BYTES,
    payload_bytes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="BYTES",
            help=f"Of its whole payload as JSON. Default: those of the text and "
            f"{needs.PAYLOAD_BESIDE_TEXT}.",
            show_default=False,
        ),
    ] = None,
    m: Annotated[int, typer.Option(min=1, metavar="M", help="Edges of a node of the graph.")] = 16,
    quantization: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Only this one: {', '.join(QUANTIZATIONS)}; may be given several times.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this preset of ingest: small, large, disk; may be given several times.",
            show_default=False,
        ),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, metavar="R", help="Copies of every point.")] = 1,
    servers: Annotated[
        int, typer.Option(min=1, metavar="S", help="Machines that share the collection.")
    ] = 1,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Estimate encoding on this one: {', '.join(GPUS)}. Default: on each of them.",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help=f"Measure encoding here, for {SECONDS:.0f} seconds, as bench does.",
            rich_help_panel=_ENCODING,
        ),
    ] = False,
    encode_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Passages a second of one device, where they are known: by bench, there.",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    devices: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="GPUs that encode at once.", rich_help_panel=_ENCODING
        ),
    ] = 1,
    utilization: Annotated[
        float,
        typer.Option(
            metavar="PART",
            help="The part of a GPU's published peak that is assumed.",
            rich_help_panel=_ENCODING,
        ),
    ] = needs.UTILIZATION,
    tokens: Annotated[
        int,
        typer.Option(
            min=1,
            max=512,
            metavar="N",
            help="Of a passage with its title, on the mean.",
            rich_help_panel=_ENCODING,
        ),
    ] = needs.TOKENS,
    upload_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Points a second that reach the collection.",
            show_default=f"{needs.UPLOAD_RATE:,.0f}",
            rich_help_panel=_LOADING,
        ),
    ] = None,
    index_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Points a second that one core indexes.",
            show_default=f"{needs.INDEX_RATE:,.0f}",
            rich_help_panel=_LOADING,
        ),
    ] = None,
    cores: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Of one server, that index.", rich_help_panel=_LOADING
        ),
    ] = 8,
    as_json: options.JSONOption = False,
    model: options.ModelOption = None,
    context_encoder: options.ContextEncoderOption = None,
    question_encoder: options.QuestionEncoderOption = None,
    revision: options.RevisionOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    debug: options.DebugOption = False,
) -> None:
    """Say what memory, disk and time a corpus will take, with the arithmetic and its sources.

    Nothing is loaded or stored. What rests on an assumption is called an estimate; --measure,
    --encode-rate, --upload-rate and --index-rate put what was measured in its place.
    """
    if measure and encode_rate is not None:
        raise UsageError("--measure measures the rate that --encode-rate names: leave one out.")
    from rdr_qdrant.collection.settings import PRESETS

    encoding = None if encode_rate is None else Rate(encode_rate, "--encode-rate")
    if measure:
        embeddings = options.make_embeddings(
            model=model,
            context_encoder=context_encoder,
            question_encoder=question_encoder,
            revision=revision,
            max_length=options.DEFAULT_TOKENS,
            device=device,
            precision=precision,
        )
        encoding = _rate(measured(embeddings, seconds=SECONDS))
        dimension = dimension or embeddings.dimension
    elif model or context_encoder or question_encoder or revision:
        raise UsageError(
            "The encoders are run by --measure alone; without it the plan is for BERT-base, as "
            "RDR's and DPR's are. Give --measure as well, or leave them out."
        )
    given: dict[str, Rate] = {}
    if upload_rate is not None:
        given["upload"] = Rate(upload_rate, "--upload-rate")
    if index_rate is not None:
        given["index"] = Rate(index_rate, "--index-rate")
    found = plan(
        Needs(
            passages=passages,
            dimension=dimension or needs.DIMENSION,
            payload_bytes=payload_bytes or text_bytes + needs.PAYLOAD_BESIDE_TEXT,
            m=m,
            quantizations=tuple(quantization or (() if preset else QUANTIZATIONS)),
            presets=tuple(preset or (() if quantization else PRESETS)),
            replicas=replicas,
            servers=servers,
            gpus=tuple(gpu or (() if encoding else GPUS)),
            devices=devices,
            utilization=utilization,
            tokens=tokens,
            encoding=encoding,
            cores=cores,
            **given,
        )
    )
    if as_json:
        print_json(asdict(found))
    else:
        print_plan(found)


def _rate(found: EncodingSpeed) -> Rate:
    tokens = found.tokens / found.passages
    where = (
        f"measured here on {found.device} in {found.precision}, at {tokens:.0f} tokens a passage"
    )
    return Rate(found.passages_per_second, where)
