"""Splitting long texts into passages: whole sentences, or DPR's blocks of words."""

from rdr_qdrant.splitter.sentences import sentence_spans
from rdr_qdrant.splitter.split_record import RowSplit, SplitRecord, describe_splits
from rdr_qdrant.splitter.splitter import (
    DEFAULT_WORDS,
    OVERLAP_KEY,
    SplitBy,
    SplitSettings,
    Splitter,
    TextPart,
    TokenCounting,
    part_id,
    text_and_number,
)
from rdr_qdrant.splitter.structure import Block, BlockKind

__all__ = [
    "DEFAULT_WORDS",
    "OVERLAP_KEY",
    "Block",
    "BlockKind",
    "RowSplit",
    "SplitBy",
    "SplitRecord",
    "SplitSettings",
    "Splitter",
    "TextPart",
    "TokenCounting",
    "describe_splits",
    "part_id",
    "sentence_spans",
    "text_and_number",
]
