"""Encoding text to vectors exactly as DPR and RDR were trained and run.

Needs torch, transformers and numpy alone; knows nothing of Qdrant, LangChain or pydantic.
"""

from rdr_qdrant.encoding.checkpoint import Side
from rdr_qdrant.encoding.device import resolve_device
from rdr_qdrant.encoding.encoder import EncodedBatch, EncodedInputs, Encoder
from rdr_qdrant.encoding.transfer import FloatArray

__all__ = ["EncodedBatch", "EncodedInputs", "Encoder", "FloatArray", "Side", "resolve_device"]
