"""`rdr_qdrant.encoding` runs where only torch, transformers and numpy are installed."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys

blocked = "langchain langchain_core onnx onnxruntime pyarrow pydantic qdrant_client qdrant_edge ray"
sys.modules.update(dict.fromkeys(blocked.split()))  # importing one raises ModuleNotFoundError

import rdr_qdrant.encoding.benchmark
import rdr_qdrant.encoding.demo_model
import rdr_qdrant.encoding.onnx_int8
from rdr_qdrant.encoding import Encoder, Side

encoder = Encoder(Side.CONTEXT, sys.argv[1], max_length=256, device="cpu")
assert encoder.encode(["the river", ("king", "the city")]).vectors.shape == (2, 32)

own = {name for name in sys.modules if name.startswith("rdr_qdrant")}
below = {"rdr_qdrant", "rdr_qdrant.atomic_io", "rdr_qdrant.errors"}
print(sorted(name for name in own - below if not name.startswith("rdr_qdrant.encoding")))
"""


def test_it_needs_nothing_of_qdrant_langchain_or_pydantic(tiny_pair: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, tiny_pair[0]], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr
