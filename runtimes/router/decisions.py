"""What a contextual policy learns from: each choice with its context and its propensity."""

import logging
import time

import prometheus_client
import pydantic

from runtimes.contract import bandits, publishing

from . import contextual, metrics, policy

_LOG = logging.getLogger("mlserver.bellwether.router")

CLIENT = "decisions"
"""The publisher's name in `bellwether_records_lost`."""

OUTCOMES = ("published", "without_id", "lost", "invalid")


class Decisions:
    """Publishes a router's decisions, and never waits for it."""

    def __init__(self, router: str, experiment: str, kafka: str) -> None:
        self._experiment = experiment
        self._publisher = publishing.shared(kafka, CLIENT)
        self._counted = {outcome: metrics.DECISIONS.labels(router, outcome) for outcome in OUTCOMES}
        self._leads: dict[str, prometheus_client.Counter] = {
            lead: metrics.LEADS.labels(router, lead) for lead in contextual.LEADS
        }

    def take(self, identity: str | None, choice: policy.Choice) -> None:
        """Publish a choice; one without a request's id cannot be rewarded, and is counted."""
        decided = choice.decided
        if decided is None:
            return
        self._leads[decided.lead].inc()
        self._counted[self._publish(identity, choice, decided)].inc()

    def _publish(self, identity: str | None, choice: policy.Choice, decided: policy.Decided) -> str:
        """Give the outcome, of `OUTCOMES`."""
        if not identity:
            return "without_id"
        try:
            record = bandits.Decision(
                id=identity,
                time=time.time(),
                experiment=self._experiment,
                arm=choice.branch,
                context=dict(decided.context),
                propensity=choice.propensity,
            )
        except pydantic.ValidationError as error:
            _LOG.warning("%s: a decision is not recorded: %s", self._experiment, error)
            return "invalid"
        published = self._publisher.publish(bandits.DECISIONS, record.encode(), key=identity)
        return "published" if published else "lost"
