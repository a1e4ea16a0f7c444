"""Options that several commands share, declared once.

An option group is a dataclass whose fields are options. A command that takes a group as a parameter
has all its options: `as_typer_command` lists them for typer and hands the command the group. Rare
options are hidden from `--help` and listed by `--help-all`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_type_hints

import typer
from typer.core import TyperOption

from rdr_qdrant.cli.path_arguments import (
    parse_name,
    parse_path,
    parse_qdrant_folder,
    parse_source,
    parse_url,
)
from rdr_qdrant.errors import UsageError
from rdr_qdrant.registry import DEFAULT_MAX_LENGTH, PAIRS

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

    from rdr_qdrant.client import RetryPolicy
    from rdr_qdrant.collection import AllOf, FusionMethod, Mode, QueryOptions, UntypedValue
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.encoding.device import Precision
    from rdr_qdrant.readers import PassageSource
    from rdr_qdrant.searcher import PassageSearcher
    from rdr_qdrant.splitter import SplitSettings

DEBUG_OPTION = "--debug"

_where = partial(typer.Option, rich_help_panel="Where")
_encoders = partial(typer.Option, rich_help_panel="Which encoders")
_search = partial(typer.Option, rich_help_panel="How to search")


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


def _sources_argument(also: str = "") -> Any:
    return typer.Argument(
        parser=parse_source,
        metavar="SOURCE",
        help="Passages: .tsv, .csv, .jsonl or .parquet (each also .gz), or - for JSON Lines from "
        f"stdin. Documents: .txt, .md, .html, .pdf or .docx, or a folder of them.{also}",
        show_default=False,
    )


SourcesArgument = Annotated[list[str], _sources_argument()]
IngestSourcesArgument = Annotated[list[str], _sources_argument(" Or a folder that encode wrote.")]
_COLLECTION = typer.Option("--collection", "-c", metavar="NAME", help="Name of the collection.")
CollectionOption = Annotated[str, _COLLECTION]
OptionalCollectionOption = Annotated[str | None, _COLLECTION]
JSONOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON value to stdout and nothing else.")
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only passages with this metadata. May be repeated: all must hold.",
    ),
]
UnverifiedOption = Annotated[
    bool,
    typer.Option(
        "--allow-unverified",
        help="Accept a collection that does not record which encoders made it.",
        hidden=True,
    ),
]
VectorNameOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Named vector to use. Default: the unnamed one.",
        show_default=False,
        hidden=True,
    ),
]
QuotingOption = Annotated[
    Literal["csv", "none"],
    typer.Option(
        metavar="csv|none", help="none: quotes in TSV and CSV files are plain characters."
    ),
]
RejectsOption = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path, metavar="FILE", help="Write rejected rows to FILE, as JSON Lines."
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Stop at the first row that is rejected.", hidden=True)
]
IndexOption = Annotated[
    bool,
    typer.Option(
        "--index/--no-index",
        help="Build the index of an embedded collection afterwards.",
        hidden=True,
    ),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        parser=parse_name,
        metavar="NAME",
        help="Language of the texts for BM25: its stop words and endings are ignored; none: every "
        "word counts. Default: english.",
        show_default=False,
        hidden=True,
    ),
]
APIKeyFileOption = Annotated[
    Path | None,
    _where(
        parser=parse_path,
        metavar="FILE",
        help="Read the server's API key from FILE instead of QDRANT_API_KEY.",
        hidden=True,
    ),
]
AllowKeyOverHTTPOption = Annotated[
    str | None,
    _where(
        metavar="HOST",
        help="Send the API key unencrypted to this host; other hosts get it over https only.",
        hidden=True,
    ),
]


def read_api_key(file: Path | None) -> Any:
    """The API key in this file, or `None` without a file."""
    from rdr_qdrant.client import read_key_file

    return read_key_file(file) if file else None


def explicitly_set(group: Any, names: Iterable[str] = ()) -> list[str]:
    """The options of a group that differ from their defaults, as they are typed.

    Args:
        group: the options.
        names: the fields to look at; all by default.
    """
    return [
        f"--{'no-' if option.default is True else ''}{option.name.replace('_', '-')}"
        for option in fields(group)
        if getattr(group, option.name) != option.default and (not names or option.name in names)
    ]


def refuse(given: Iterable[str], reason: str) -> None:
    """Refuse options that have no effect.

    Args:
        given: the names of those that were given.
        reason: why they have none, and what to do.

    Raises:
        UsageError: there is one; it names the first.
    """
    for name in given:
        raise UsageError(f"{name} {reason}")


def parse_filters(conditions: list[str] | None) -> dict[str, UntypedValue | AllOf]:
    """`["year=1999"]` as names and values whose type the collection decides; all must match.

    Raises:
        UsageError: a condition is not of the form KEY=VALUE.
    """
    from rdr_qdrant.collection import AllOf, UntypedValue

    values: dict[str, list[UntypedValue]] = {}
    for condition in conditions or ():
        key, equals, value = condition.partition("=")
        if not (key and equals):
            raise UsageError(f"--filter {condition!r} is not of the form KEY=VALUE.")
        values.setdefault(key, []).append(UntypedValue(value))
    return {key: each[0] if len(each) == 1 else AllOf(each) for key, each in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class QdrantOptions:
    """A Qdrant server or folder."""

    url: Annotated[
        str | None,
        _where(
            parser=parse_url,
            metavar="URL",
            help="Qdrant server; its API key is read from QDRANT_API_KEY.",
        ),
    ] = None
    path: Annotated[
        Path | None,
        _where(
            parser=parse_qdrant_folder,
            metavar="DIR",
            help="Folder of an embedded Qdrant. Without --url and --path: QDRANT_URL if set, else "
            "./qdrant_data.",
        ),
    ] = None
    api_key_file: APIKeyFileOption = None
    allow_key_over_http: AllowKeyOverHTTPOption = None
    grpc_port: Annotated[
        int | None,
        _where(
            metavar="PORT",
            help="Send points over gRPC to this port of the server. Default: 6334 beside 6333.",
            hidden=True,
        ),
    ] = None

    def connect(self) -> QdrantClient:
        """A client; the caller closes it, which frees an embedded folder."""
        from rdr_qdrant.client import connect

        return connect(
            url=self.url,
            path=self.path,
            api_key=read_api_key(self.api_key_file),
            allow_key_over_http=self.allow_key_over_http,
            grpc_port=self.grpc_port,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """A pair of encoders and how it runs."""

    model: Annotated[
        str | None,
        _encoders(
            parser=parse_name,
            metavar="NAME",
            help="Named pair (see rdr-qdrant models). Default: the pair that made the collection, "
            "else rdr-single-trivia.",
        ),
    ] = None
    context_encoder: Annotated[
        str | None,
        _encoders(
            parser=parse_source,
            metavar="X",
            help="Hub id or folder; with --question-encoder, instead of --model.",
        ),
    ] = None
    question_encoder: Annotated[
        str | None, _encoders(parser=parse_source, metavar="Y", help="Hub id or folder.")
    ] = None
    revision: Annotated[
        str | None,
        _encoders(
            parser=parse_name,
            metavar="REV",
            help="Branch, tag or commit of both encoders on the hub.",
            hidden=True,
        ),
    ] = None
    max_length: Annotated[
        int,
        _encoders(
            min=8,
            metavar="TOKENS",
            help="Maximum tokens of an input; the same for all passages and questions of a "
            "collection.",
            hidden=True,
        ),
    ] = DEFAULT_MAX_LENGTH
    device: Annotated[str, _encoders(metavar="NAME", help="auto, cpu, cuda or mps.")] = "auto"
    precision: Annotated[
        str,
        _encoders(
            metavar="NAME",
            help="auto (fp32 on a CPU, fp16 on a GPU), fp32, bf16, fp16, or int8 on a CPU.",
            hidden=True,
        ),
    ] = "auto"

    def embeddings(self, recorded_model: str | None = None) -> RDREmbeddings:
        """The encoders, loaded on first use.

        Args:
            recorded_model: the pair to use if no option names one; only a named pair counts.

        Raises:
            UsageError: two pairs are named, or an unknown precision.
        """
        from rdr_qdrant.embeddings import RDREmbeddings
        from rdr_qdrant.encoding.device import PRECISIONS

        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise UsageError(f"Unknown precision {self.precision!r}. Known: {known}.")
        if self.model and (self.context_encoder or self.question_encoder):
            raise UsageError(
                "--model and --context-encoder/--question-encoder name two different pairs: "
                "leave one of them out."
            )
        named = self.model or self.context_encoder or self.question_encoder
        return RDREmbeddings(
            model=recorded_model if not named and recorded_model in PAIRS else self.model,
            context_encoder=self.context_encoder,
            question_encoder=self.question_encoder,
            revision=self.revision,
            max_length=self.max_length,
            device=self.device,
            precision=cast("Precision", self.precision),
        )

    def embeddings_for(self, client: QdrantClient, collection: str) -> RDREmbeddings:
        """The encoders; if no option names them, those that made the collection."""
        from rdr_qdrant.collection import Collection

        if self.model or self.context_encoder or self.question_encoder:
            return self.embeddings()
        return self.embeddings(Collection(client, collection).recorded_model())


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """How texts are split."""

    split: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="WORDS",
            help="Split texts into passages of whole sentences, up to this many words. "
            "Documents: 120 by default.",
        ),
    ] = None
    split_by: Annotated[
        Literal["sentences", "blocks"],
        typer.Option(
            metavar="WAY",
            help="sentences, or blocks of exactly so many words, as DPR (documents: 100).",
        ),
    ] = "sentences"
    overlap: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="WORDS",
            help="Begin each passage with up to this many words of the one before.",
            hidden=True,
        ),
    ] = 0

    def settings(self, sources: Sequence[PassageSource]) -> SplitSettings | None:
        """The settings; `None` leaves rows whole and splits documents as by default.

        Raises:
            UsageError: a number is out of its range, or an option has no text to split.
        """
        from rdr_qdrant.readers import DocumentSource
        from rdr_qdrant.splitter import DEFAULT_WORDS, SplitSettings

        given = explicitly_set(self)
        if not given:
            return None
        if self.split is None and not all(isinstance(one, DocumentSource) for one in sources):
            refuse(given, "has no effect on rows that are left whole: add --split WORDS.")
        words = DEFAULT_WORDS[self.split_by] if self.split is None else self.split
        return SplitSettings(words, self.split_by, self.overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How a collection is searched, and how mode hybrid makes one list of two."""

    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every point instead of using the index.")
    ] = False
    rescore: Annotated[
        bool,
        _search(
            "--rescore/--no-rescore",
            help="Rescore the best hits of a quantized collection with the original vectors. "
            "Without it scores are approximate, and original vectors on disk are not read.",
        ),
    ] = True
    oversampling: Annotated[
        float | None,
        _search(min=1.0, metavar="FACTOR", help="Rescore FACTOR times as many candidates as hits."),
    ] = None
    hnsw_ef: Annotated[
        int | None,
        _search(
            min=1,
            metavar="N",
            help="Candidates kept while searching the index; more is more exact.",
        ),
    ] = None
    vector_name: VectorNameOption = ""
    allow_unverified: UnverifiedOption = False
    fusion: Annotated[
        str,
        _search(
            metavar="NAME",
            help="In mode hybrid: dbsf adds normalised scores, rrf reciprocal ranks, linear raw "
            "scores.",
        ),
    ] = "dbsf"
    fusion_weights: Annotated[
        str, _search(metavar="DENSE,BM25", help="Weights of the two lists.", hidden=True)
    ] = "1,1"
    rrf_k: Annotated[
        int,
        _search(
            min=1,
            metavar="N",
            help="k of rrf: the greater, the less the first ranks stand out.",
            hidden=True,
        ),
    ] = 2
    candidates: Annotated[
        int | None,
        _search(
            min=1,
            metavar="N",
            help="Passages that each list has before they are fused. Default: twice as many as are "
            "asked for, at least 200.",
            show_default=False,
            hidden=True,
        ),
    ] = None

    def query_options(self, modes: Sequence[str], k: int = 1) -> dict[str, QueryOptions]:
        """The options of a search in each of these modes, for `k` passages.

        Raises:
            UsageError: an unknown mode or fusion, weights that are not two numbers, or an option
                that none of the modes looks at.
        """
        from rdr_qdrant.collection import Fusion, check_options

        params = self._search_params()
        if "hybrid" not in modes:
            given = explicitly_set(self, ("fusion", "fusion_weights", "rrf_k", "candidates"))
            refuse(given, "is for mode hybrid: add --mode hybrid, or leave it out.")
        if set(modes) == {"bm25"}:
            given = explicitly_set(self, ("oversampling", "hnsw_ef", "rescore"))
            refuse(given, "is for vectors, and bm25 compares words: leave it out.")
        try:
            dense, bm25 = map(float, self.fusion_weights.split(","))
        except ValueError:
            raise UsageError(
                f"--fusion-weights {self.fusion_weights!r} is not two numbers such as 1,0.5."
            ) from None
        by_mode: dict[str, QueryOptions] = {}
        for mode in modes:
            by_mode[mode] = {
                "k": k,
                "mode": cast("Mode", mode),
                "search_params": params,
                "fusion": Fusion(cast("FusionMethod", self.fusion), (dense, bm25), self.rrf_k),
                "candidates": self.candidates,
            }
            check_options(by_mode[mode])
        return by_mode

    def searcher(
        self,
        embeddings: RDREmbeddings,
        client: QdrantClient,
        collection: str,
        retry: RetryPolicy | None = None,
    ) -> PassageSearcher:
        """A searcher of the collection; see `PassageSearcher`."""
        from rdr_qdrant.searcher import PassageSearcher

        return PassageSearcher(
            embeddings,
            client,
            collection,
            vector_name=self.vector_name,
            allow_unverified=self.allow_unverified,
            retry=retry,
        )

    def _search_params(self) -> models.SearchParams:
        """These options as Qdrant's search parameters.

        Raises:
            UsageError: `--oversampling` without rescoring.
        """
        if self.oversampling is not None and not self.rescore:
            raise UsageError(
                "--oversampling fetches more candidates to rescore, and --no-rescore rescores "
                "none: leave one out."
            )
        from qdrant_client import models

        quantization = models.QuantizationSearchParams(
            rescore=self.rescore, oversampling=self.oversampling
        )
        return models.SearchParams(hnsw_ef=self.hnsw_ef, quantization=quantization)


def _show_all_help(context: typer.Context, wanted: bool) -> None:
    if wanted:
        for parameter in context.command.params:
            if isinstance(parameter, TyperOption):
                parameter.hidden = False
        typer.echo(context.get_help())
        raise typer.Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class _CommonOptions:
    """Options of every command; `app.run` and typer handle them."""

    debug: Annotated[
        bool, typer.Option(DEBUG_OPTION, help="Show the traceback of an error.", hidden=True)
    ] = False
    help_all: Annotated[
        bool,
        typer.Option(
            "--help-all",
            callback=_show_all_help,
            is_eager=True,
            expose_value=False,
            help="List all options, the rare ones too.",
        ),
    ] = False


def as_typer_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command as a function of single options, for typer to read.

    Each parameter that is an option group is replaced by the group's fields, and the common options
    are added. When called, the groups are put together again and the command runs.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _parameters_of(groups[parameter.name])
        else:
            parameters.append(
                parameter.replace(
                    annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY
                )
            )
    parameters += _parameters_of(_CommonOptions)

    def run(**values: Any) -> Any:
        for field in fields(_CommonOptions):
            values.pop(field.name, None)
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        return command(**values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
