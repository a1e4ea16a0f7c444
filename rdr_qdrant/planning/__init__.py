"""What a corpus will take: memory, disk and time, by arithmetic alone, with its sources."""

from rdr_qdrant.planning.estimate import Quantity
from rdr_qdrant.planning.gpus import GPUS, Gpu
from rdr_qdrant.planning.inputs import Needs, Rate
from rdr_qdrant.planning.plan import Plan, plan
from rdr_qdrant.planning.size_model import QUANTIZATIONS, LayoutPlan, QuantizationPlan

__all__ = [
    "GPUS",
    "QUANTIZATIONS",
    "Gpu",
    "LayoutPlan",
    "Needs",
    "Plan",
    "Quantity",
    "QuantizationPlan",
    "Rate",
    "plan",
]
