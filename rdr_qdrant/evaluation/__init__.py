"""How good the retrieval is, in the papers' own metric: answer recall@k."""

from rdr_qdrant.evaluation.ann_vs_exact import ExactComparison
from rdr_qdrant.evaluation.answer_matcher import MatchType
from rdr_qdrant.evaluation.baselines import Published, published_figures, recall_table
from rdr_qdrant.evaluation.evaluate import EvaluationReport, evaluate
from rdr_qdrant.evaluation.output_file import check_outputs
from rdr_qdrant.evaluation.plot import check_plot, draw_recall
from rdr_qdrant.evaluation.recall import answer_recall, first_hit, percent_at
from rdr_qdrant.evaluation.run_files import Finding, dpr_run, trec_run

__all__ = [
    "EvaluationReport",
    "ExactComparison",
    "Finding",
    "MatchType",
    "Published",
    "answer_recall",
    "check_outputs",
    "check_plot",
    "dpr_run",
    "draw_recall",
    "evaluate",
    "first_hit",
    "percent_at",
    "published_figures",
    "recall_table",
    "trec_run",
]
