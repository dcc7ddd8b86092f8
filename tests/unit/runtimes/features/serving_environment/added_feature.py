"""One more feature, declared as a newcomer would: a line in the table, and nothing else."""

from runtimes.features import definitions


def add() -> None:
    """Declare it, for this process."""
    definitions.TECHNICAL_INDICATORS = (
        *definitions.TECHNICAL_INDICATORS,
        definitions.Feature(
            "return_3d",
            definitions.RETURN,
            "over three days",
            definitions.CLOSE.log().change(3),
            -2,
            2,
            model=True,
        ),
    )
