"""Enhanced: gradient-boosted trees over all features."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="gradient-boosted trees (LightGBM, Ke et al. 2017) over all features",
    packages=("lightgbm",),
)
