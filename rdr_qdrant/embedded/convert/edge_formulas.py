"""Formulas: the client's score expressions into the engine's."""

from __future__ import annotations

from typing import Any, cast, get_args

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_filters import to_engine_condition, to_engine_geo_point
from rdr_qdrant.embedded.errors import not_supported

_X = edge.Expression
# The name of the field that holds the operand or operands, and the engine's constructor.
_UNARY: dict[type[Any], tuple[str, Any]] = {
    models.NegExpression: ("neg", _X.Neg),
    models.AbsExpression: ("abs", _X.Abs),
    models.SqrtExpression: ("sqrt", _X.Sqrt),
    models.ExpExpression: ("exp", _X.Exp),
    models.Log10Expression: ("log10", _X.Log10),
    models.LnExpression: ("ln", _X.Ln),
    models.AcoshExpression: ("acosh", _X.Acosh),
}
_N_ARY: dict[type[Any], tuple[str, Any]] = {
    models.MultExpression: ("mult", _X.Mult),
    models.SumExpression: ("sum", _X.Sum),
    models.MaxExpression: ("max", _X.Max),
    models.MinExpression: ("min", _X.Min),
}
_DECAY: dict[type[Any], tuple[str, edge.DecayKind]] = {
    models.LinDecayExpression: ("lin_decay", edge.DecayKind.Lin),
    models.ExpDecayExpression: ("exp_decay", edge.DecayKind.Exp),
    models.GaussDecayExpression: ("gauss_decay", edge.DecayKind.Gauss),
}


def to_engine_formula(query: models.FormulaQuery) -> edge.Formula:
    """Convert the formula that computes the score of each prefetched point."""
    return edge.Formula(_expression(query.formula), query.defaults or {})


def _expression(expression: Any) -> edge.Expression:
    kind = type(expression)
    if kind in _UNARY:
        name, make = _UNARY[kind]
        return cast(edge.Expression, make(_expression(getattr(expression, name))))
    if kind in _N_ARY:
        name, make = _N_ARY[kind]
        return cast(
            edge.Expression, make([_expression(operand) for operand in getattr(expression, name)])
        )
    if kind in _DECAY:
        name, decay = _DECAY[kind]
        params = getattr(expression, name)
        target = None if params.target is None else _expression(params.target)
        x = _expression(params.x)
        return _X.Decay(decay, x, target, midpoint=params.midpoint, scale=params.scale)
    match expression:
        case int() | float():
            return _X.Constant(float(expression))
        case str():
            return _X.Variable(expression)
        case models.GeoDistance(geo_distance=geo):
            return _X.GeoDistance(to_engine_geo_point(geo.origin), geo.to)
        case models.DatetimeExpression(datetime=moment):
            return _X.Datetime(moment)
        case models.DatetimeKeyExpression(datetime_key=key):
            return _X.DatetimeKey(key)
        case models.DivExpression(div=div):
            return _X.Div(_expression(div.left), _expression(div.right), div.by_zero_default)
        case models.PowExpression(pow=power):
            return _X.Pow(_expression(power.base), _expression(power.exponent))
    if isinstance(expression, get_args(models.Condition)):
        return _X.Condition(to_engine_condition(expression))
    raise not_supported(f"the expression {kind.__name__}", "leave it out")
