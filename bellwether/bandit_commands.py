"""`bellwether bandit …`: the commands, and what they print."""

import datetime as dt
import json
import pathlib
import sys
import typing

import rich.table
import typer

from bellwether import environment, steps

if typing.TYPE_CHECKING:
    from runtimes.bandit import offpolicy
    from runtimes.bandit.judging import acting
    from runtimes.contract import bandits

app = typer.Typer(help="Bandit policies: judge, activate, freeze, look back.", no_args_is_help=True)

StackOption = typing.Annotated[
    str, typer.Option("--stack", "-s", envvar="BELLWETHER_STACK", help="The stack to act on.")
]
JsonOption = typing.Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PolicyFile = typing.Annotated[
    pathlib.Path, typer.Option("--policy", help="A BanditPolicy, YAML or JSON.")
]
NameArgument = typing.Annotated[
    str | None, typer.Argument(help="The policy; not needed where there is one.")
]
RowsOption = typing.Annotated[
    int, typer.Option("--rows", min=1, help="Judge by so many of the newest decisions.")
]
LevelOption = typing.Annotated[
    float, typer.Option("--level", min=0.5, max=0.9999, help="Of the intervals.")
]
ClipOption = typing.Annotated[
    float | None, typer.Option("--clip", min=1.0, help="The largest importance weight.")
]

_ESTIMATORS = {
    "ips": "IPS",
    "snips": "SNIPS",
    "dm": "direct method",
    "dr": "doubly robust",
    "sndr": "self-normalised doubly robust",
}


@app.command("evaluate")
def evaluate_command(  # noqa: PLR0913  each is an option of the command
    policy: PolicyFile,
    rows: RowsOption = 1_000_000,
    level: LevelOption = 0.95,
    clip: ClipOption = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Say what a policy would have earned, by the records of the one that acts."""
    from runtimes.bandit.judging import acting  # noqa: PLC0415  a command loads what it uses

    given = acting.read(policy)
    with steps.step("judging") as step:
        judged = acting.judge(
            _place(stack), given, acting.Options(rows, level, clip), step.describe
        )
        step.note = f"{judged.verdict.candidate.rows} rewarded decisions"
    if json_:
        _print(judged.document())
    else:
        _show(judged)


@app.command("activate")
def activate_command(  # noqa: PLR0913  each is an option of the command
    policy: typing.Annotated[
        pathlib.Path | None,
        typer.Option("--policy", help="A BanditPolicy; without it, the one that is there."),
    ] = None,
    force: typing.Annotated[
        str | None,
        typer.Option(
            "--force", metavar="REASON", help="Whatever the gate says, for this recorded reason."
        ),
    ] = None,
    rows: RowsOption = 1_000_000,
    level: LevelOption = 0.95,
    clip: ClipOption = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Let a policy act, if its lower bound is not below that of the one that does."""
    from runtimes.bandit.judging import acting  # noqa: PLC0415  a command loads what it uses

    if force is not None and not force.strip():
        raise acting.BanditError("--force needs a reason: it is recorded with the policy")
    given = None if policy is None else acting.read(policy)
    with steps.step("judging") as step:
        done = acting.activate(
            _place(stack),
            given,
            acting.Options(rows, level, clip),
            force=force,
            said=step.describe,
        )
    if json_:
        judged = None if done.judged is None else done.judged.document()
        _print({"policy": done.policy, "gate": done.gate, "forced": done.forced, "judged": judged})
        return
    if done.judged is not None:
        _show(done.judged)
    forced = f", forced: {done.forced}" if done.forced else ""
    steps.console.print(f"{done.policy} acts: {done.gate}{forced}", markup=False)
    steps.console.print("`bellwether up` puts back what the catalogue declares.")


@app.command("freeze")
def freeze_command(
    name: NameArgument = None, stack: StackOption = environment.DEFAULT_STACK
) -> None:
    """Leave the weights as they are from now on; the policy goes on learning."""
    from runtimes.bandit.judging import acting  # noqa: PLC0415  a command loads what it uses

    chosen = acting.freeze(_place(stack), name)
    steps.console.print(
        f"{chosen} is frozen: it learns, its weights stay. `bellwether bandit activate` ends it."
    )


@app.command("history")
def history_command(
    name: typing.Annotated[
        str | None, typer.Argument(help="An experiment or a policy; all of them without it.")
    ] = None,
    last: typing.Annotated[int, typer.Option(min=1, help="So many epochs.")] = 20,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Show the last epochs: what was decided, and why."""
    from runtimes.bandit.judging import acting  # noqa: PLC0415  a command loads what it uses

    found = acting.history(_place(stack), name, last)
    if json_:
        _print([each.model_dump(mode="json") for each in found])
        return
    if not found:
        steps.console.print("No epoch has ended yet.")
        return
    steps.console.print(_history(found))


@app.command("replay")
def replay_command(
    name: NameArgument = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Do a policy's whole history again from the topics; fail if a state comes out otherwise."""
    from bellwether import bandit_replay  # noqa: PLC0415  a command loads what it uses
    from runtimes.bandit.judging import acting  # noqa: PLC0415  as above

    place = _place(stack)
    policy = acting.chosen(place, name)
    with steps.step(f"replaying {policy}") as step:

        def said(done: int, count: int) -> None:
            step.total(count)
            step.advance()
            step.describe(f"epoch {done} of {count}")

        found = bandit_replay.run(place.kafka, policy, said)
        step.note = f"{found.epochs} epochs, {found.learnt} rewards"
    if json_:
        _print(found.document())
    elif found.different:
        for epoch, what in found.different:
            steps.console.print(f"epoch {epoch}: {' and '.join(what)} came out otherwise")
    else:
        steps.console.print(f"Every state and every weight is the same, to the bit: {found.digest}")
    if found.different:
        raise typer.Exit(1)


def _place(stack: str) -> "acting.Place":
    from runtimes.bandit.judging import acting  # noqa: PLC0415  a command loads what it uses

    selected = environment.Stack(stack)
    wanted, where = selected.settings(), selected.endpoints()
    return acting.Place(f"127.0.0.1:{wanted.ports.kafka}", where.mesh, where.namespace)


def _print(document: object) -> None:
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _show(judged: "acting.Judged") -> None:
    spec, found = judged.policy.spec, judged.verdict
    left_out = ", ".join(f"{count} {why}" for why, count in judged.joined.left_out.items() if count)
    values = rich.table.Table(
        title=f"{judged.policy.metadata.name} on {spec.experiment}, {spec.reward_metric} a decision",
        title_justify="left",
        caption=(
            f"{found.candidate.rows} rewarded decisions worth {_sizes(found.candidate)}"
            f"{f'; left out: {left_out}' if left_out else ''}"
        ),
        caption_justify="left",
    )
    values.add_column("estimator")
    for heading in ("value", f"{found.difference.level:.0%} interval"):
        values.add_column(heading, justify="right")
    for name, each in found.candidate.estimates.items():
        values.add_row(_ESTIMATORS[name], *_cells(each))
    current = next(iter(found.current.estimates.values()))
    values.add_row(f"{judged.current or 'current'}, as it acted", *_cells(current), style="bold")
    values.add_row("difference, doubly robust", *_cells(found.difference))
    steps.console.print(values)
    shares = rich.table.Table()
    for heading in ("arm", "would have had", "had"):
        shares.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, (given, there) in judged.shares.items():
        shares.add_row(arm, f"{given:.1%}", f"{there:.1%}")
    steps.console.print(shares)
    steps.console.print(
        f"gate: {'passes' if found.passes else 'refuses'}, {found.reason}", markup=False
    )


def _sizes(candidate: "offpolicy.Evaluation") -> str:
    clipped = f", {candidate.clipped} clipped to {candidate.clip:g}" if candidate.clip else ""
    return (
        f"{candidate.effective_sample_size:.0f} of its own, "
        f"largest weight {candidate.largest_weight:.3g}{clipped}"
    )


def _cells(estimate: "offpolicy.Estimate") -> tuple[str, str]:
    return f"{estimate.value:.5g}", f"{estimate.lower:.5g} to {estimate.upper:.5g}"


def _history(found: "list[bandits.Allocation]") -> rich.table.Table:
    shown = rich.table.Table()
    for heading in ("epoch", "ended (UTC)", "policy", "weights", "applied", "why"):
        shown.add_column(heading, overflow="fold")
    for each in found:
        total = sum(each.weights.values()) or 1
        weights = ", ".join(f"{arm} {weight / total:.1%}" for arm, weight in each.weights.items())
        reasons = each.details.get("reasons")
        said = [str(one) for one in reasons] if isinstance(reasons, list) else []
        said += [f"veto {one.arm}: {one.reason}" for one in each.vetoes]
        shown.add_row(
            str(each.epoch),
            dt.datetime.fromtimestamp(each.time, dt.UTC).strftime("%Y-%m-%d %H:%M:%S"),
            each.policy,
            weights,
            "yes" if each.applied else f"no ({each.mode})",
            "; ".join(dict.fromkeys(said)),
        )
    return shown
