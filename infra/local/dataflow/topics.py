"""Seldon's names for topics."""

from typing import Literal

Side = Literal["inputs", "outputs"]

ERRORS_HEADER = "seldon-pipeline-errors"
"""On an error's record: the step that failed."""

PIPELINE_HEADER = "pipeline"
VERSION_HEADER = "x-pipeline-version"


def model(namespace: str, name: str, side: Side) -> str:
    """Name the topic of a model's inputs or outputs."""
    return f"seldon.{namespace}.model.{name}.{side}"


def pipeline(namespace: str, name: str, side: Side) -> str:
    """Name the topic of a pipeline's inputs or outputs."""
    return f"seldon.{namespace}.pipeline.{name}.{side}"


def errors(namespace: str) -> str:
    """Name the topic of the errors of all models."""
    return f"seldon.{namespace}.errors.errors"
