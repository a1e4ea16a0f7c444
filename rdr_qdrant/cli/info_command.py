"""`rdr-qdrant info`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rdr_qdrant.cli import option_groups as options
from rdr_qdrant.cli.stderr import print_message
from rdr_qdrant.cli.stdout import print_fields, print_json, print_table

if TYPE_CHECKING:
    from rdr_qdrant.collection import CollectionDescription, ListedCollection

EXAMPLE = "rdr-qdrant info -c wiki"
_PLACED = ("vectors", "quantization", "hnsw", "payload", "payload_index", "id_tracker")
_SEGMENTS = ("default_segment_number", "max_segment_size", "indexing_threshold")


def info(
    *,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection",
            "-c",
            metavar="NAME",
            help="Name of the collection. Default: list all collections.",
        ),
    ] = None,
    vector_name: options.VectorNameOption = "",
    as_json: options.JSONOption = False,
    qdrant: options.QdrantOptions,
) -> None:
    """Describe a collection and the encoders that made it, or list the collections."""
    from rdr_qdrant.collection import Collection, list_collections

    with closing(qdrant.connect()) as client:
        if collection is None:
            _print_list(list_collections(client), as_json=as_json)
            return
        found = Collection(client, collection, vector_name).describe()
    if as_json:
        print_json(found.to_json())
    else:
        print_fields(_description_fields(found))


def _description_fields(found: CollectionDescription) -> dict[str, str]:
    from rdr_qdrant.splitter import SplitRecord, describe_splits

    identity = found.identity or {}
    unknown = "not recorded (made by other software, or by a Qdrant before 1.16)"
    norms = found.norms or {}
    values = {
        "collection": found.name + (f" (alias of {found.alias_of})" if found.alias_of else ""),
        "points": f"{'about ' * found.points_approximate}{found.points:,}",
        "vectors": f"{found.dimension} numbers ({found.settings['datatype']}), compared by "
        f"{found.distance}",
        "vector lengths": ", ".join(f"{k} {v:g}" for k, v in norms.items())
        + " (of a random sample)"
        if norms
        else "no vectors",
        "index": _index_state(found),
        **_setting_fields(found.settings),
        "disk": f"{found.disk_bytes / 1e6:,.1f} MB"
        if found.disk_bytes is not None
        else "unknown (a server does not report it)",
        "model": str(identity.get("model", unknown)),
    }
    if bm25 := found.bm25:
        state = "" if bm25["complete"] else "; incomplete: finish it with rdr-qdrant index --bm25"
        values["BM25"] = f"{bm25['language']}, {bm25['points']:,} of {found.points:,} points{state}"
    if split := SplitRecord.from_json(found.split):
        ways = {"rows": split.rows, "documents": split.documents}
        values |= {kind: describe_splits(way) for kind, way in ways.items() if way}
    if identity:
        values |= {
            "context encoder": str(identity.get("context_encoder")),
            "question encoder": str(identity.get("question_encoder")),
            "revision": str(identity.get("revision") or "-"),
            "precision": str(identity.get("precision", "fp32")),
            "most tokens": str(identity.get("max_length")),
            "passage format": str(identity.get("passage_format")),
        }
    return values


def _print_list(listed: list[ListedCollection], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in listed])
    elif listed:
        rows = [
            (one.name, _points(one), ", ".join(one.aliases) or "-", _model(one)) for one in listed
        ]
        print_table(("collection", "points", "aliases", "model"), rows)
        for one in listed:
            if one.error:
                print_message(one.error)
    else:
        print_message("There is no collection yet. Create one with: rdr-qdrant ingest FILE -c NAME")


def _model(one: ListedCollection) -> str:
    return "-" if one.error else one.model or "not recorded"


def _points(one: ListedCollection) -> str:
    if one.points is None:
        return "cannot be read"
    about = "about " if one.points_approximate else ""
    return f"{about}{one.points:,}" + (" (indexing deferred)" if one.index_put_off else "")


def _index_state(found: CollectionDescription) -> str:
    state = f"{found.indexed_vectors:,} vectors indexed, status {found.status}"
    if found.index_put_off:
        state += "; deferred by a bulk load that has not finished (any ingest enables it)"
    return state


def _setting_fields(settings: Mapping[str, Any]) -> dict[str, str]:
    def named(*names: str) -> str:
        return ", ".join(f"{name} {settings[name]}" for name in names if name in settings)

    shards = settings.get("shard_number", 1)
    copies = settings.get("replication_factor", 1)
    confirmed = settings.get("write_consistency_factor", 1)
    indexes = [f"{key} ({kind})" for key, kind in settings.get("payload_indexes", {}).items()]
    quantization = str(settings["quantization"])
    details = named("bits", "quantile", "compression", "encoding", "query_encoding")
    return {
        "graph": named("m", "ef_construct", "max_indexing_threads", "payload_m"),
        "quantization": f"{quantization}, {details}" if details else quantization,
        "memory": ", ".join(
            f"{what} {settings[f'{what}_memory']}"
            for what in _PLACED
            if f"{what}_memory" in settings
        ),
        "segments": named(*_SEGMENTS),
        "shards": f"{shards}, copies of each {copies}, writes confirmed by {confirmed}",
        "payload indexes": ", ".join(indexes) or "none",
        **({"tenant": str(settings["tenant"])} if "tenant" in settings else {}),
    }
