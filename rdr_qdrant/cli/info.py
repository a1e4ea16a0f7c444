"""`rdr-qdrant info`."""

from __future__ import annotations

from rdr_qdrant.cli import options
from rdr_qdrant.cli.results import print_facts, print_json

EXAMPLE = "rdr-qdrant info -c wiki"


def info(
    collection: options.CollectionOption,
    as_json: options.JSONOption = False,
    url: options.URLOption = None,
    path: options.PathOption = None,
    api_key_file: options.APIKeyFileOption = None,
    allow_key_over_http: options.AllowKeyOverHTTPOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Say what a collection holds and which encoders made it."""
    from rdr_qdrant.collection import Collection

    client = options.open_client(url, path, api_key_file, allow_key_over_http)
    found = Collection(client, collection).describe()
    client.close()
    if as_json:
        print_json(found.to_json())
        return
    identity = found.identity or {}
    unknown = "not said (other software made it, or a Qdrant before 1.16)"
    norms = found.norms or {}
    facts = {
        "collection": found.name,
        "points": f"{found.points:,}",
        "vectors": f"{found.dimension} numbers, compared by {found.distance}",
        "vector lengths": ", ".join(f"{k} {v:g}" for k, v in norms.items())
        + " (of a random sample)"
        if norms
        else "no vectors",
        "index": f"{found.indexed_vectors:,} vectors indexed, status {found.status}",
        "quantization": ", ".join(found.quantization) if found.quantization else "none",
        "disk": f"{found.disk_bytes / 1e6:,.1f} MB"
        if found.disk_bytes is not None
        else "a server does not tell",
        "model": str(identity.get("model", unknown)),
    }
    if identity:
        facts |= {
            "context encoder": str(identity.get("context_encoder")),
            "question encoder": str(identity.get("question_encoder")),
            "revision": str(identity.get("revision") or "-"),
            "precision": str(identity.get("precision", "fp32")),
            "most tokens": str(identity.get("max_length")),
            "passage format": str(identity.get("passage_format")),
        }
    print_facts(facts)
