"""What the controller works with may be away, or another controller may have taken over."""


class AwayError(Exception):
    """A part does not do what it should; the message names it. Weights stay as they are."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(f"{part}: {why}")
        self.part = part


class FencedError(Exception):
    """Another controller writes this policy's log now."""


class UnusableError(Exception):
    """The policy cannot be followed as things are; `reason` is Kubernetes' kind of word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
