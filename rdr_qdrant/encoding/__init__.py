"""Text to vectors, exactly as DPR and RDR were trained and run. Knows nothing of Qdrant."""

from rdr_qdrant.encoding.checkpoint import Side
from rdr_qdrant.encoding.cls_forward import FloatArray
from rdr_qdrant.encoding.device import resolve_device
from rdr_qdrant.encoding.encoder import Encoded, EncodedBatch, Encoder

__all__ = ["Encoded", "EncodedBatch", "Encoder", "FloatArray", "Side", "resolve_device"]
