"""An explanation goes on only if it is about the forecast that it comes with.

It is a JSON object whose `model` names who it explains: an object with `name`, `version` and
`artifact`, the three of the tensor `model`.
An explainer that has no explanation may say so itself, with `missing` beside `model`.
"""

import json
from collections.abc import Sequence

GIVEN = "given"
MISSING = "missing"
UNREADABLE = "unreadable"
OF_ANOTHER_MODEL = "of_another_model"
OUTCOMES = (GIVEN, MISSING, UNREADABLE, OF_ANOTHER_MODEL)

_IDENTITY = ("name", "version", "artifact")


def checked(text: str | None, model: Sequence[str]) -> tuple[str, str]:
    """Give what became of an explanation, one of `OUTCOMES`, and the JSON to answer with.

    `model` are the name, the version and the artifact of the model that forecast.
    What is not passed on is replaced by `{"missing": why}`.
    """
    if text is None:
        return _missing(MISSING, "the explainer did not answer, or not in time")
    try:
        document = json.loads(text)
    except ValueError as error:
        return _missing(UNREADABLE, f"the explainer's answer is no JSON: {error}")
    about = document.get("model") if isinstance(document, dict) else None
    if not isinstance(about, dict):
        return _missing(
            UNREADABLE,
            "the explainer's answer does not name the model that it explains: expected an object "
            "`model` with name, version and artifact",
        )
    explained = [str(about.get(part)) for part in _IDENTITY]
    if explained != list(model):
        return _missing(
            OF_ANOTHER_MODEL,
            f"the explanation is of {_readable(explained)}, the forecast of {_readable(model)}: "
            "it was dropped",
        )
    return (MISSING if "missing" in document else GIVEN), text


def _missing(outcome: str, why: str) -> tuple[str, str]:
    return outcome, json.dumps({"missing": why})


def _readable(model: Sequence[str]) -> str:
    name, version, artifact = model
    return f"{name} version {version or '(none)'} ({artifact})"
