"""Ensemble: a weighted mean of all models that do not combine others."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="weighted mean of the other models, weights learnt on days they had not seen "
    "(stacking, Wolpert 1992; Breiman 1996)",
    combines=True,
    packages=("scipy",),
)
