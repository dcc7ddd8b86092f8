"""docs/policies.md, written from the rules and the table of their levels."""

import sys

from policies import exceptions, levels, rules
from policies.rules import accounts, stateful

_HEAD = f"""\
# Policies

What no environment may do, checked before anything is touched.
This page is written from `policies/` by `uv run python -m policies.document > docs/policies.md`.

What a stack registers, without an engine or a cluster; `--json` is for programs:

```console
$ uv run bellwether policies -s staging
```

A preview or an update, and a state that exists; with Pulumi's Python language host,
`--policy-pack policies` works too:

```console
$ pulumi preview -s staging --policy-pack policies/bellwether-policies
$ pulumi policy analyze --policy-pack policies/bellwether-policies --file state.json
```

A `mandatory` rule stops the operation, an `advisory` one is shown, `off` is not looked at.
How severe a rule is depends on `bellwether:environment` in `Pulumi.<stack>.yaml`.
A stack without one is judged as production.
Rules that look at the whole stack speak when all of it is known: at the end of a preview, and at the
end of an update, when its resources are already made. Preview first.
Of a secret, the policies see that it is one, and nothing else; what they say of a plain one never shows it.

## Exceptions

An object is excused by its annotation `{exceptions.ANNOTATION}: "<rule>: <reason>"`, one rule a line.
Exceptions are listed in every audit, as `excused`, with their reason.
Where the table does not allow one, the annotation is itself a fault.

Two annotations answer a rule instead of excusing from it:
`{accounts.USES_API}` says what a workload's token is for, `{stateful.BACKUP}` how a stateful part is made again.

## Rules

| rule | dev | staging | production | can be excused in |
|---|---|---|---|---|
"""  # noqa: E501  a page's line is a sentence


def text() -> str:
    """Write the page."""
    rows = []
    for each in rules.ALL:
        level = levels.LEVELS[each.name]
        excused = ", ".join(level.excused_in) or "nowhere"
        rows.append(
            f"| [`{each.name}`](#{each.name}) | {level.dev} | {level.staging} | {level.production} "
            f"| {excused} |\n"
        )
    sections = [
        f"\n### {each.name}\n\n{each.summary}\n\nWhy: {each.reason}\n\nRemedy: {each.remedy}.\n"
        for each in rules.ALL
    ]
    return _HEAD + "".join(rows) + "".join(sections)


if __name__ == "__main__":
    sys.stdout.write(text())
