"""What the stream knows: raw bars and texts folded, one after another, into the features' state."""

import datetime as dt
import hashlib
from collections.abc import Mapping

from runtimes.features import bars, clock, definitions, online, online_row, records

_SOURCES = {"headline": "news", "post": "social"}
_CLOCKS_DIFFER = dt.timedelta(hours=1)
_REMEMBERED = dt.timedelta(days=30)
"""How long a text is known by its digest, so that it counts once however often it is sent."""


class Folding:
    """The online engine, with what it was seeded with."""

    def __init__(self, declared: definitions.Definitions, seeds: bars.Bars) -> None:
        # Only a process that reads texts needs the lexicon.
        from vaderSentiment import vaderSentiment  # noqa: PLC0415  for the reason above

        self.declared = declared
        self._seeds = seeds
        self._engine = online.Engine(declared)
        self._lexicon = vaderSentiment.SentimentIntensityAnalyzer()
        self._texts: dict[bytes, dt.datetime] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """Those that have a bar."""
        return frozenset(self._engine.symbols)

    def seed(self, until: dt.date | None = None) -> None:
        """Forget everything, then know the artifact's bars up to the day `until`."""
        self._engine.reset()
        self._texts.clear()
        for symbol, day, (open_, high, low, close, volume) in self._seeds.until(until):
            self._engine.bar(symbol, day, open_, high, low, close, volume)

    def bar(self, bar: records.Bar) -> frozenset[str]:
        """Take a bar; give the symbols whose rows may have changed; raise `records.Unusable`."""
        try:
            return frozenset(
                self._engine.bar(
                    bar.symbol, bar.day, bar.open, bar.high, bar.low, bar.close, bar.volume
                )
            )
        except online.Refused as refused:
            raise records.Unusable(str(refused.reason), str(refused)) from refused

    def text(self, text: records.Text) -> frozenset[str]:
        """Take a text as the lexicon scores it (Hutto and Gilbert 2014, VADER); as `bar`."""
        moment = text.time.astimezone(dt.UTC)
        self._refuse_future(moment)
        digest = hashlib.blake2b(
            f"{text.symbol}\n{text.kind}\n{moment.isoformat()}\n{text.text}".encode(),
            digest_size=16,
        ).digest()
        if digest in self._texts:
            return frozenset()
        score = float(self._lexicon.polarity_scores(text.text)["compound"])
        try:
            changed = frozenset(self._engine.text(text.symbol, _SOURCES[text.kind], moment, score))
        except online.Refused as refused:
            raise records.Unusable(str(refused.reason), str(refused)) from refused
        self._remember(digest, moment)
        return changed

    def newest(self, symbol: str) -> dt.date | None:
        """Give the day of a symbol's newest bar."""
        return self._engine.newest(symbol)

    def newest_of_all(self) -> dt.date | None:
        """Give the day of the newest bar of any symbol."""
        days = [day for symbol in self.symbols if (day := self.newest(symbol)) is not None]
        return max(days, default=None)

    def row(self, symbol: str) -> dict[str, tuple[Mapping[str, online_row.Number], dt.datetime]]:
        """Give every view's values of a symbol, with their event time; without those never fed."""
        newest = self._engine.newest(symbol)
        moments = {
            "bars": None if newest is None else clock.close_of(newest),
            "texts": self._engine.newest_text(symbol),
        }
        return {
            view.name: (self._engine.row(symbol, view.name), moment)
            for view in self.declared.views
            if (moment := moments[view.source]) is not None
        }

    def _refuse_future(self, moment: dt.datetime) -> None:
        """Refuse a text of a day that has not come: it would outweigh all others until then."""
        newest = self.newest_of_all()
        limits = [dt.datetime.now(dt.UTC) + _CLOCKS_DIFFER]
        if newest is not None:
            limits.append(clock.close_of(newest) + online.LONGEST_GAP)
        if moment > min(limits):
            raise records.Unusable(
                "future",
                f"the text is of {moment.isoformat()}, but it is not later than "
                f"{min(limits).isoformat()} where the data is; correct its `time`",
            )

    def _remember(self, digest: bytes, moment: dt.datetime) -> None:
        self._texts[digest] = moment
        if len(self._texts) % 1000 == 0:
            kept = max(self._texts.values()) - _REMEMBERED
            self._texts = {each: at for each, at in self._texts.items() if at >= kept}
