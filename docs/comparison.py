"""Loads a DPR checkpoint with other libraries: the observations behind docs/comparison.md.

    pip download --no-deps --no-binary pyserini pyserini==1.6.0     # and unpack it
    pip install --no-deps langchain-huggingface==1.2.3 fastembed==0.9.1 sentence-transformers==6.2.0
    python docs/comparison.py --pyserini pyserini-1.6.0

Each library gets the demo pair's context encoder (a true DPR checkpoint); its vectors are compared
with the model card's own code. From pyserini, only the class of its DPR encoder is run.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, DPRContextEncoder

from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.demo_model import demo_encoder

LONGER = "A tragedy in five acts, set in Denmark and written around the year 1600."
TITLE, TEXT = "Faust", "A play in two parts by Goethe."


def model_card(folder: Path, title: str, text: str) -> np.ndarray:
    """Embed with the model card's own code, segment ids all zero; float32 [dim]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = DPRContextEncoder.from_pretrained(folder, attn_implementation="eager").eval()
    parts = (title, text) if title else (text,)
    inputs = tokenizer(*parts, return_tensors="pt", truncation=True, max_length=256)
    with torch.no_grad():
        output = model(inputs["input_ids"], token_type_ids=torch.zeros_like(inputs["input_ids"]))
    return output.pooler_output[0].numpy()


def this_package(folder: Path) -> np.ndarray:
    """Embed the same passage with this package."""
    return RDREmbeddings(model="demo").encode_passages([Passage("1", TEXT, TITLE)])[0]


def pyserini_encoder(root: Path) -> type[Any]:
    """Import pyserini's DPR passage encoder without the rest of it (Java, FAISS)."""
    base = types.ModuleType("pyserini.encode")
    base.DocumentEncoder = base.QueryEncoder = object  # type: ignore[attr-defined]
    sys.modules |= {"pyserini": types.ModuleType("pyserini"), "pyserini.encode": base}
    spec = importlib.util.spec_from_file_location("_dpr", root / "pyserini/encode/_dpr.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DprDocumentEncoder


def observe(label: str, call: Callable[[], object]) -> None:
    """Print one observation per line; an error is an observation too."""
    try:
        print(f"{label}: {call()}")
    except Exception as error:
        print(f"{label}: {type(error).__name__}: {' '.join(str(error).split())[:160]}")


def main() -> None:
    """Print the observations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pyserini", type=Path, help="Folder of its unpacked source.")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    context, question = demo_encoder(Side.CONTEXT), demo_encoder(Side.QUESTION)
    expected = model_card(context, TITLE, TEXT)

    def difference_to_card(vector: Any) -> str:
        difference = np.abs(np.asarray(vector) - expected).max()
        return f"largest difference to the model card {difference:.1e}"

    observe("rdr-qdrant", lambda: difference_to_card(this_package(context)))
    observe(
        "rdr-qdrant, encoders swapped",
        lambda: RDREmbeddings(
            context_encoder=str(question), question_encoder=str(context)
        ).embed_documents([TEXT]),
    )

    def langchain(folder: Path) -> object:
        from langchain_huggingface import HuggingFaceEmbeddings

        vectors = [
            HuggingFaceEmbeddings(model_name=str(folder)).embed_documents([f"{TITLE} {TEXT}"])[0]
            for _ in range(2)
        ]
        changed = np.abs(np.subtract(*vectors)).max()
        return f"{difference_to_card(vectors[0])}; two loads differ by {changed:.1e}"

    observe("HuggingFaceEmbeddings, context encoder", lambda: langchain(context))
    observe("HuggingFaceEmbeddings, question encoder", lambda: langchain(question))

    def points_after_adding_twice() -> int:
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_qdrant import QdrantVectorStore

        store = QdrantVectorStore.from_texts(
            [TEXT], DeterministicFakeEmbedding(size=4), location=":memory:", collection_name="c"
        )
        store.add_texts([TEXT])
        return store.client.count("c").count

    observe("QdrantVectorStore, points after one text was added twice", points_after_adding_twice)

    def fastembed_models() -> str:
        from fastembed import TextEmbedding

        names = [model["model"] for model in TextEmbedding.list_supported_models()]
        dpr = [name for name in names if "dpr" in name.lower() or "rdr" in name.lower()]
        return f"{len(names)} models, of them of DPR or RDR: {len(dpr)}"

    observe("fastembed", fastembed_models)

    if given.pyserini:
        encoder = pyserini_encoder(given.pyserini)
        observe(
            "pyserini --encoder-class dpr",
            lambda: difference_to_card(
                encoder(str(context), device="cpu").encode([TEXT, LONGER], titles=[TITLE] * 2)[0]
            ),
        )

        def with_question_encoder() -> str:
            loads = [encoder(str(question), device="cpu").encode([TEXT])[0] for _ in range(2)]
            return f"no error; two loads differ by {np.abs(np.subtract(*loads)).max():.1e}"

        observe("pyserini --encoder-class dpr, given the question encoder", with_question_encoder)


if __name__ == "__main__":
    main()
