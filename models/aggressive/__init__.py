"""Aggressive: for rising markets, quick to follow what changes."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="gradient-boosted trees (LightGBM) in few large steps, rising days count thrice",
    regime="rising",
    packages=("lightgbm",),
)
