"""What others make of a DPR checkpoint: the observations behind docs/comparison.md.

    pip download --no-deps --no-binary pyserini pyserini==1.6.0     # and unpack it
    pip install --no-deps langchain-huggingface==1.2.3 fastembed==0.9.1 sentence-transformers==6.2.0
    python docs/comparison.py --pyserini pyserini-1.6.0

Each is given the demo pair's context encoder (a true DPR checkpoint) and compared with the model
card's own loop. Of pyserini only the class of its DPR encoder is run, from its own file.
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
    """The vector by the model card's own code, segment ids all zero; float32 [dim]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = DPRContextEncoder.from_pretrained(folder, attn_implementation="eager").eval()
    parts = (title, text) if title else (text,)
    inputs = tokenizer(*parts, return_tensors="pt", truncation=True, max_length=256)
    with torch.no_grad():
        found = model(inputs["input_ids"], token_type_ids=torch.zeros_like(inputs["input_ids"]))
    return found.pooler_output[0].numpy()


def ours(folder: Path) -> np.ndarray:
    """The same by this package."""
    return RDREmbeddings(model="demo").encode_passages([Passage("1", TEXT, TITLE)])[0]


def pyserini_encoder(root: Path) -> type[Any]:
    """pyserini's class for DPR's passages, without the package around it (Java, FAISS)."""
    base = types.ModuleType("pyserini.encode")
    base.DocumentEncoder = base.QueryEncoder = object  # type: ignore[attr-defined]
    sys.modules |= {"pyserini": types.ModuleType("pyserini"), "pyserini.encode": base}
    spec = importlib.util.spec_from_file_location("_dpr", root / "pyserini/encode/_dpr.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DprDocumentEncoder


def said(what: str, call: Callable[[], object]) -> None:
    """One observation a line; an error is one too."""
    try:
        print(f"{what}: {call()}")
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:160]}")


def main() -> None:
    """Print the observations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pyserini", type=Path, help="Its unpacked source.")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    context, question = demo_encoder(Side.CONTEXT), demo_encoder(Side.QUESTION)
    expected = model_card(context, TITLE, TEXT)

    def beside_the_card(vector: Any) -> str:
        difference = np.abs(np.asarray(vector) - expected).max()
        return f"largest difference to the model card {difference:.1e}"

    said("rdr-qdrant", lambda: beside_the_card(ours(context)))
    said(
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
        return f"{beside_the_card(vectors[0])}; two loads differ by {changed:.1e}"

    said("HuggingFaceEmbeddings, context encoder", lambda: langchain(context))
    said("HuggingFaceEmbeddings, question encoder", lambda: langchain(question))

    def twice() -> int:
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_qdrant import QdrantVectorStore

        store = QdrantVectorStore.from_texts(
            [TEXT], DeterministicFakeEmbedding(size=4), location=":memory:", collection_name="c"
        )
        store.add_texts([TEXT])
        return store.client.count("c").count

    said("QdrantVectorStore, points after one text was added twice", twice)

    def registry() -> str:
        from fastembed import TextEmbedding

        names = [model["model"] for model in TextEmbedding.list_supported_models()]
        ours = [name for name in names if "dpr" in name.lower() or "rdr" in name.lower()]
        return f"{len(names)} models, of them of DPR or RDR: {len(ours)}"

    said("fastembed", registry)

    if given.pyserini:
        encoder = pyserini_encoder(given.pyserini)
        said(
            "pyserini --encoder-class dpr",
            lambda: beside_the_card(
                encoder(str(context), device="cpu").encode([TEXT, LONGER], titles=[TITLE] * 2)[0]
            ),
        )

        def wrong() -> str:
            loads = [encoder(str(question), device="cpu").encode([TEXT])[0] for _ in range(2)]
            return f"no error; two loads differ by {np.abs(np.subtract(*loads)).max():.1e}"

        said("pyserini --encoder-class dpr, given the question encoder", wrong)


if __name__ == "__main__":
    main()
