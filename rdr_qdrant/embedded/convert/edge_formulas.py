"""Formulas: the client's score expressions into the engine's."""

from __future__ import annotations

from typing import Any, get_args

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_filters import to_engine_condition, to_engine_geo_point
from rdr_qdrant.embedded.errors import not_supported

_X = edge.Expression
# Every one-operand expression keeps its operand in the field named here.
_UNARY: dict[type[Any], tuple[str, Any]] = {
    models.NegExpression: ("neg", _X.Neg),
    models.AbsExpression: ("abs", _X.Abs),
    models.SqrtExpression: ("sqrt", _X.Sqrt),
    models.ExpExpression: ("exp", _X.Exp),
    models.Log10Expression: ("log10", _X.Log10),
    models.LnExpression: ("ln", _X.Ln),
    models.AcoshExpression: ("acosh", _X.Acosh),
}
_MANY: dict[type[Any], tuple[str, Any]] = {
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
    """The formula that gives each prefetched point its score."""
    return edge.Formula(_expression(query.formula), query.defaults or {})


def _expression(given: Any) -> edge.Expression:
    kind = type(given)
    if kind in _UNARY:
        name, make = _UNARY[kind]
        return _made(make(_expression(getattr(given, name))))
    if kind in _MANY:
        name, make = _MANY[kind]
        return _made(make([_expression(one) for one in getattr(given, name)]))
    if kind in _DECAY:
        name, decay = _DECAY[kind]
        params = getattr(given, name)
        target = None if params.target is None else _expression(params.target)
        x = _expression(params.x)
        return _X.Decay(decay, x, target, midpoint=params.midpoint, scale=params.scale)
    match given:
        case int() | float():
            return _X.Constant(float(given))
        case str():
            return _X.Variable(given)
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
    if isinstance(given, get_args(models.Condition)):
        return _X.Condition(to_engine_condition(given))
    raise not_supported(f"the expression {kind.__name__}", "leave it out")


def _made(expression: Any) -> edge.Expression:
    made: edge.Expression = expression
    return made
