"""How a call can end without an answer; the text is for the caller."""

BAD_REQUEST = 400
UNAVAILABLE = 503


class CallError(Exception):
    """A call has no answer. `status` is HTTP's; `step` is who failed, if a step did."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class StepFailed(CallError):  # noqa: N818 - told apart from the model's own error
    """A step's model refused or broke; the text is Seldon's."""

    def __init__(self, step: str, error: "ModelFailed") -> None:
        super().__init__(BAD_REQUEST, f"{step} : {error}")
        self.step = step
        self.rpc = str(error)


class NotAnswered(CallError):  # noqa: N818 - named as the outcome
    """Nothing can reach the pipeline's output any more; the text says which steps did not run."""


class UnknownPipeline(CallError):  # noqa: N818 - named as the outcome
    """The pipeline is not in the document."""

    def __init__(self, name: str) -> None:
        super().__init__(UNAVAILABLE, f"pipeline {name} is not served here")


class ModelFailed(Exception):  # noqa: N818 - named as the outcome
    """A model's error, told as gRPC tells it to Seldon's gateway."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {description}")


class NotServed(Exception):  # noqa: N818 - named as the outcome
    """A model version is not there to be asked; the text says why."""
