"""Explainable: a small LSTM, whose attribution to days and channels can be checked."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="LSTM (Hochreiter and Schmidhuber 1997) over the history, beside a linear forecast",
    packages=("torch", "onnx"),
)
