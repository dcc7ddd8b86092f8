"""Transformer: attention over the weeks of the history."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="transformer encoder (Vaswani et al. 2017) over patches of five days "
    "(Nie et al. 2023), beside a linear forecast",
    packages=("torch", "onnx"),
)
