"""Baseline: what any other model has to beat."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="heterogeneous autoregression of log volatility over a day, a week and a month "
    "(Corsi 2009)",
)
