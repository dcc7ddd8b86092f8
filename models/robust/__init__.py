"""Robust: for volatile days, when errors have fat tails."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="linear over all features with Huber's loss (Huber 1964), volatile days count thrice",
    regime="volatile",
)
