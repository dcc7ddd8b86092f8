"""Conservative: for falling markets, where too low a forecast costs more than too high a one."""

from models import declaration

DECLARATION = declaration.Declaration(
    summary="linear over all features, an expectile above the mean (Newey and Powell 1987), "
    "falling days count thrice",
    regime="falling",
)
