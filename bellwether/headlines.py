"""Made-up headlines and posts for a replay: nobody said these things, and each says so itself.

The same seed, symbol and day give the same texts. Their mood loosely follows the day's return.
"""

import dataclasses
import datetime as dt
import math
import random

PREFIX = "[made up] "
"""Before every text, so that nobody mistakes it for news."""

_OPENS = dt.time(9, tzinfo=dt.UTC)
_HOURS = 11.5
_MOOD_NOISE = 0.6
_CLEAR = 0.5

_HEADLINES: dict[str, tuple[str, ...]] = {
    "good": (
        "{name} gains {move} as investors grow confident",
        "Strong session for {name}: up {move} on optimism",
        "{name} rallies, analysts praise robust growth",
        "Relief lifts {name}; buyers win the day",
    ),
    "bad": (
        "{name} falls {move} as fear spreads",
        "Panic selling hits {name}: losses of {move}",
        "{name} suffers a bad day, worries about recession grow",
        "Crisis talk weighs on {name}, investors flee",
    ),
    "plain": (
        "{name} little changed before the close",
        "{name}: traders wait for the next figures",
        "Quiet session, {name} moves {move}",
    ),
}
_POSTS: dict[str, tuple[str, ...]] = {
    "good": (
        "love this market, {name} to new highs!",
        "great day for {name}, happy I bought",
        "{name} looks awesome here",
    ),
    "bad": (
        "{name} is a disaster, I am out",
        "terrible day, {name} crashes again",
        "hate to say it, {name} looks awful",
    ),
    "plain": (
        "watching {name} today",
        "anyone else in {name}?",
        "{name} at {move}, and now?",
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """One made-up text."""

    kind: str
    """`headline` or `post`."""
    time: dt.datetime
    text: str


def of_day(symbol: str, day: dt.date, log_return: float, usual: float, seed: int = 1) -> list[Text]:
    """Give a symbol's texts of a day in their order; `usual` is a usual day's absolute return."""
    drawn = random.Random(f"{seed}|{symbol}|{day}")  # noqa: S311  texts, no secrets
    strength = math.tanh(log_return / max(usual, 1e-6) / 2)
    moved = int(abs(strength) > _CLEAR)
    texts = [("headline", _HEADLINES)] * (drawn.randint(0, 2) + moved)
    texts += [("post", _POSTS)] * (drawn.randint(0, 3) + moved)
    opens = dt.datetime.combine(day, _OPENS)
    said = []
    for kind, templates in texts:
        mood = strength + drawn.gauss(0.0, _MOOD_NOISE)
        tone = "good" if mood > _CLEAR else "bad" if mood < -_CLEAR else "plain"
        text = drawn.choice(templates[tone]).format(
            name=symbol, move=f"{abs(math.expm1(log_return)):.1%}"
        )
        moment = opens + dt.timedelta(seconds=int(drawn.random() * _HOURS * 3600))
        said.append(Text(kind, moment, PREFIX + text))
    return sorted(said, key=lambda each: each.time)
