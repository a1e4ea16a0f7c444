"""Measures retrieval quality: answer recall@k, the papers' metric, and measures from qrels."""

from rdr_qdrant.evaluation.ann_vs_exact import ExactComparison
from rdr_qdrant.evaluation.answer_matcher import MatchType
from rdr_qdrant.evaluation.baselines import (
    PublishedFigures,
    check_data_set,
    published_figures,
    recall_table,
)
from rdr_qdrant.evaluation.bootstrap import (
    BootstrapInterval,
    mean_interval,
    paired_difference,
)
from rdr_qdrant.evaluation.evaluate import EvaluationReport, evaluate
from rdr_qdrant.evaluation.mode_comparison import (
    ModeComparison,
    difference_table,
    evaluate_modes,
    hits_at,
    rank_modes,
)
from rdr_qdrant.evaluation.plot import check_plot, draw_recall
from rdr_qdrant.evaluation.ranking import RankingEvaluation, RankingReport, ranking_table
from rdr_qdrant.evaluation.recall import answer_recall, first_hit, percent_at
from rdr_qdrant.evaluation.run_files import QuestionResult, check_outputs, dpr_run, trec_run

__all__ = [
    "BootstrapInterval",
    "EvaluationReport",
    "ExactComparison",
    "MatchType",
    "ModeComparison",
    "PublishedFigures",
    "QuestionResult",
    "RankingEvaluation",
    "RankingReport",
    "answer_recall",
    "check_data_set",
    "check_outputs",
    "check_plot",
    "difference_table",
    "dpr_run",
    "draw_recall",
    "evaluate",
    "evaluate_modes",
    "first_hit",
    "hits_at",
    "mean_interval",
    "paired_difference",
    "percent_at",
    "published_figures",
    "rank_modes",
    "ranking_table",
    "recall_table",
    "trec_run",
]
