"""The rules, one concern a file."""

from policies import exceptions, rule
from policies.rules import (
    accounts,
    availability,
    images,
    labelling,
    networks,
    plaintext,
    pod_security,
    serving,
    stateful,
)

ALL: tuple[rule.Rule, ...] = (
    *plaintext.RULES,
    *pod_security.RULES,
    *images.RULES,
    *accounts.RULES,
    *networks.RULES,
    *availability.RULES,
    *stateful.RULES,
    *serving.RULES,
    *labelling.RULES,
    *exceptions.RULES,
)
"""Every rule, in the order in which they are shown."""
