"""Aggressive: for rising markets, quick to follow what changes."""

from models import declaration, regimes

DECLARATION = declaration.Declaration(
    summary="gradient-boosted trees (LightGBM) in few large steps, rising days count thrice",
    regime=regimes.RISING,
    packages=("lightgbm",),
)
