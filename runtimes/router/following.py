"""Keeps the contextual policy's state at hand."""

import logging

import redis.asyncio

from runtimes.contract import bandits, following, linear_choice

from . import metrics, policy

logger = logging.getLogger("mlserver.bellwether.router")

_UNREAD = object()


class Follower(following.Follower):
    """The policy's state as Valkey has it now; none while it is away.

    Other than a drift score, a state is not kept while Valkey is away: the controller may
    have put it into the shade meanwhile, and the rule is always safe.
    """

    def __init__(self, address: str, model: str, experiment: str) -> None:
        super().__init__(address, model, metrics.STATE_READS, logger)
        self.chooser: linear_choice.Chooser | None = None
        self.missing = "no state was read yet"
        """Why there is no chooser, where there is none."""
        self._experiment = experiment
        self._seen: object = _UNREAD

    async def fetch(self, valkey: redis.asyncio.Redis) -> None:
        """See `following.Follower`."""
        value = await valkey.hget(linear_choice.KEY, self._experiment)
        if value != self._seen:
            self.take(value)

    def take(self, value: bytes | str | None) -> None:
        """Go by a state that was read."""
        self.chooser, self._seen = None, value
        if value is None:
            self.missing = f"no policy has learnt for {self._experiment}"
            return
        try:
            record = _read(value)
        except bandits.InvalidRecord as error:
            self.malformed()
            self.missing = "its state in Valkey is malformed"
            logger.warning("%s in Valkey, field %r: %s", linear_choice.KEY, self._experiment, error)
            return
        logger.info("%s: epoch %d, %s", record.policy, record.epoch, record.mode)
        self.chooser = linear_choice.Chooser(record)

    def gone(self) -> str:
        """See `following.Follower`."""
        self.chooser, self._seen, self.missing = None, _UNREAD, "Valkey is away"
        return "the thresholds' rule chooses"


def _read(value: bytes | str) -> linear_choice.Record:
    record = linear_choice.Record.decode(value.encode() if isinstance(value, str) else value)
    if set(record.arms) != set(policy.BRANCH.values()):
        raise bandits.InvalidRecord(f"arms: {', '.join(record.arms)} are not the branches")
    return record
