"""`rdr_qdrant.encoding` and benchmarks/gpu.py run with torch, transformers and numpy alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CODE = """
import sys

blocked = (
    "langchain langchain_core matplotlib onnx onnxruntime portalocker pyarrow pydantic "
    "qdrant_client qdrant_edge ray sentence_transformers tenacity typer"
)
sys.modules.update(dict.fromkeys(blocked.split()))  # importing one raises ModuleNotFoundError

import benchmarks.gpu
import rdr_qdrant.encoding.benchmark
import rdr_qdrant.encoding.demo_model
import rdr_qdrant.encoding.onnx_int8
from rdr_qdrant.encoding import Encoder, Side

encoder = Encoder(Side.CONTEXT, sys.argv[1], max_length=256, device="cpu")
assert encoder.encode(["the river", ("king", "the city")]).vectors.shape == (2, 32)

own = {name for name in sys.modules if name.startswith("rdr_qdrant")}
below = {"rdr_qdrant"} | {f"rdr_qdrant.{one}" for one in ("atomic_io", "child_process", "errors")}
print(sorted(name for name in own - below if not name.startswith("rdr_qdrant.encoding")))
"""


def test_it_needs_nothing_of_qdrant_langchain_or_pydantic(tiny_pair: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, tiny_pair[0]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr


def test_loading_and_encoding_import_no_model_of_transformers(tiny_pair: tuple[str, str]) -> None:
    """They take two seconds to import, which a search would wait for."""
    code = """
import sys
from rdr_qdrant.encoding import Encoder, Side
Encoder(Side.CONTEXT, sys.argv[1], max_length=256, device="cpu").encode(["the river"])
print([name for name in sys.modules if name.partition(".")[0] == "transformers"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tiny_pair[0]], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr
