"""How good the retrieval is, in the papers' own metric: answer recall@k."""

from rdr_qdrant.evaluation.evaluate import EvaluationReport, evaluate
from rdr_qdrant.evaluation.recall import answer_recall, first_hit, percent_at

__all__ = ["EvaluationReport", "answer_recall", "evaluate", "first_hit", "percent_at"]
