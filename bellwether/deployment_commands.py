"""The commands that deploy and review, as workflows and people call them."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import typing

import rich.table
import typer

from bellwether import environment, steps

if typing.TYPE_CHECKING:
    from bellwether import engine

app = typer.Typer(no_args_is_help=True)

StackOption = typing.Annotated[
    str, typer.Option("--stack", "-s", envvar="BELLWETHER_STACK", help="The stack to act on.")
]
ClusterOption = typing.Annotated[
    str, typer.Option("--stack", "-s", help="A cluster's stack: dev, staging, production.")
]
JsonOption = typing.Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MarkdownOption = typing.Annotated[
    pathlib.Path | None, typer.Option("--markdown", help="Also append it to this file as Markdown.")
]


def _print_json(value: typing.Any) -> None:
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def show(change: "engine.Change", nothing: str, *, json_: bool) -> None:
    """Print what changes."""
    if json_:
        _print_json({"changes": change.counts, "steps": change.steps})
        return
    if change.empty:
        steps.console.print(nothing)
        return
    shown = rich.table.Table()
    for heading in ("would", "what", "because of"):
        shown.add_column(heading, overflow="fold")
    for operation, what, properties in change.steps:
        shown.add_row(operation, what, ", ".join(properties))
    steps.console.print(shown)


@app.command()
def preview(
    stack: StackOption = environment.DEFAULT_STACK,
    report: typing.Annotated[
        pathlib.Path | None,
        typer.Option(help="Also write the engine's digest (`pulumi preview --json`) to this file."),
    ] = None,
    save_plan: typing.Annotated[
        pathlib.Path | None,
        typer.Option(help="Also write the plan to this file; for `up --plan`, a cluster's alone."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Say what `up` would change: here compared with what really runs, on a cluster with its state."""
    from bellwether import deployment  # noqa: PLC0415  a command loads what it uses

    selected = environment.Stack(stack)
    if selected.on_cluster:
        change = deployment.preview(selected, report, save_plan)
    else:
        _refuse_plan(save_plan, stack)
        change = environment.preview(selected, report)
    show(change, "Nothing to change.", json_=json_)


def _refuse_plan(plan: pathlib.Path | None, stack: str) -> None:
    if plan is not None:
        raise environment.EnvironmentFailedError(
            f"stack `{stack}` is local, and plans are for a cluster's: `up` compares with what runs"
        )


def up(stack: environment.Stack, plan: pathlib.Path | None, *, json_: bool) -> bool:
    """Deploy a cluster's stack; say whether it was one."""
    from bellwether import deployment  # noqa: PLC0415  a command loads what it uses

    if not stack.on_cluster:
        _refuse_plan(plan, stack.name)
        return False
    show(deployment.up(stack, plan), "Nothing to change.", json_=json_)
    return True


@app.command("drift")
def drift_command(
    stack: StackOption = environment.DEFAULT_STACK,
    markdown: MarkdownOption = None,
    json_: JsonOption = False,
) -> None:
    """Say what is not as it was declared, changing nothing. Exit code 7 if anything is not."""
    from bellwether import drift  # noqa: PLC0415  a command loads what it uses

    found = drift.find(environment.Stack(stack))
    if markdown is not None:
        with markdown.open("a") as file:
            file.write(drift.as_markdown(found))
    if json_:
        _print_json(dataclasses.asdict(found) | {"drifted": found.drifted})
    elif found.drifted:
        steps.console.print(drift.table(found))
    else:
        steps.console.print("Everything is as it was declared.")
    raise typer.Exit(drift.EXIT_DRIFTED if found.drifted else 0)


@app.command("smoke")
def smoke_command(
    against: typing.Annotated[
        str | None, typer.Option(help="A gateway's URL; by default the local environment's.")
    ] = None,
    symbol: typing.Annotated[str, typer.Option(help="Whose newest day is asked about.")] = "SPX",
    wait: typing.Annotated[
        float, typer.Option(min=0, help="Ask again for so many seconds until all is well.")
    ] = 0,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Ask each predictor, the experiment and the pipeline once. Exit code 1 if an answer is not right."""
    from bellwether import smoke  # noqa: PLC0415  a command loads what it uses
    from models import requests, sources  # noqa: PLC0415  as above

    selected = environment.Stack(stack)
    gateway = against or selected.endpoints().gateway
    data = None if selected.on_cluster else selected.settings().data
    request = requests.latest(symbol, sources.Source(data))
    with steps.step("smoke test") as step:

        def said(count: int, name: str) -> None:
            step.total(count)
            step.describe(name)
            step.advance()

        outcome = smoke.run(gateway, request, wait=wait, said=said)
        failed = sum(not check.passed for check in outcome.checks)
        step.note = (
            f"{failed} of {len(outcome.checks)} failed" if failed else "all answers are right"
        )
    if json_:
        _print_json(dataclasses.asdict(outcome) | {"passed": outcome.passed})
    else:
        steps.console.print(smoke.table(outcome))
    raise typer.Exit(0 if outcome.passed else 1)


@app.command("forward", context_settings={"ignore_unknown_options": True})
def forward_command(
    command: typing.Annotated[
        list[str],
        typer.Argument(help="After --: what to run; {gateway} in it becomes the gateway's URL."),
    ],
    stack: ClusterOption,
) -> None:
    """Run a command while a cluster's gateway has an address on this machine; its exit code is ours."""
    from bellwether import forward  # noqa: PLC0415  a command loads what it uses
    from infra.cluster import settings as cluster_settings  # noqa: PLC0415  as above

    wanted = cluster_settings.read(environment.Stack(stack).file)
    raise typer.Exit(forward.run(wanted, command))


@app.command("changes")
def changes_command(
    stack: ClusterOption,
    base: typing.Annotated[
        str, typer.Option(help="The revision to compare with, such as origin/main.")
    ] = "origin/main",
    json_: JsonOption = False,
) -> None:
    """Show how the manifests that a stack registers differ from another revision's, without a cluster."""
    from bellwether import render, revision  # noqa: PLC0415  a command loads what it uses
    from bellwether.review import risks  # noqa: PLC0415  as above

    with tempfile.TemporaryDirectory() as folder:
        head = pathlib.Path(folder)
        render.stack(stack, head)
        found = revision.compare(stack, base, head)
    if json_:
        _print_json(found.model_dump(mode="json"))
        return
    for file in found.files:
        sys.stdout.write(f"--- {file.path}\n{file.diff}\n")
    for risk in risks.of(found.changes):
        steps.console.print(f"[red]risky[/] {risk.title} {risk.sentence}", markup=True)


@app.command("comment")
def comment_command(
    reports: typing.Annotated[
        pathlib.Path,
        typer.Option(help="The folder of the reports: preview-STACK.json, images.json, load.json…"),
    ],
    out: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Write it to this file instead of printing it.")
    ] = None,
    revision: typing.Annotated[str, typer.Option(help="The commit that it is about.")] = "",
    run: typing.Annotated[str, typer.Option(help="The URL of the workflow's run.")] = "",
    post: typing.Annotated[
        int | None, typer.Option(help="Write it to the pull request of this number.")
    ] = None,
) -> None:
    """Write the review of a pull request as Markdown, from the reports of other commands."""
    from bellwether.review import comment, github  # noqa: PLC0415  a command loads what it uses
    from bellwether.review import reports as reports_module  # noqa: PLC0415  as above

    body = comment.render(reports_module.read(reports), revision=revision, run=run)
    if out is not None:
        out.write_text(body)
    if post is not None:
        url = github.post(github.PullRequest.of_environment(post), body)
        steps.console.print(f"written to {url}")
    elif out is None:
        sys.stdout.write(body)


@app.command("pin")
def pin_command(
    reports: typing.Annotated[
        pathlib.Path,
        typer.Option(help="The folder of images*.json, as `images build --push --json` prints it."),
    ],
    stack: ClusterOption,
    registry: typing.Annotated[
        str, typer.Option(help="Where they are; by default where the file says.")
    ] = "",
    others_good: typing.Annotated[
        bool,
        typer.Option(
            "--others-good/--no-others-good",
            help="Take images without a report as they were good last, or leave them as they are.",
        ),
    ] = False,
) -> None:
    """Write the digests of pushed images into a stack's file, in this checkout alone."""
    from bellwether import rollback  # noqa: PLC0415  a command loads what it uses
    from bellwether.review import reports as reports_module  # noqa: PLC0415  as above

    selected = environment.Stack(stack)
    digests = reports_module.pushed(reports)
    if others_good:
        digests = {**rollback.last_good(selected).digests, **digests}
    rollback.pin(selected.file, registry, digests)
    steps.console.print(f"{len(digests)} digests written into {selected.file.name}")


@app.command("mark-good")
def mark_good_command(stack: ClusterOption) -> None:
    """Remember what is deployed now as good: `rollback` goes back to it."""
    from bellwether import rollback  # noqa: PLC0415  a command loads what it uses

    rollback.mark_good(environment.Stack(stack))


@app.command("rollback")
def rollback_command(stack: ClusterOption, json_: JsonOption = False) -> None:
    """Deploy again what was good last: its program, its configuration, its images."""
    from bellwether import rollback  # noqa: PLC0415  a command loads what it uses

    state = rollback.run(environment.Stack(stack))
    if json_:
        _print_json(dataclasses.asdict(state))


@app.command("attempt", context_settings={"ignore_unknown_options": True})
def attempt_command(
    name: typing.Annotated[str, typer.Option(help="What is made, such as preview-dev.")],
    reports: typing.Annotated[pathlib.Path, typer.Option(help="The folder of the reports.")],
    command: typing.Annotated[
        list[str], typer.Argument(help="After --: what to run; its output is the report.")
    ],
) -> None:
    """Keep a command's output as a report NAME.json; where there is none, why in NAME.txt."""
    reports.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stderr.write(ended.stderr)
    if ended.stdout.strip():
        (reports / f"{name}.json").write_text(ended.stdout)
    elif ended.returncode:
        (reports / f"{name}.txt").write_text(ended.stderr)
    raise typer.Exit(ended.returncode)


def expected_errors() -> tuple[type[Exception], ...]:
    """Name the errors whose message is all that a person needs."""
    from bellwether import deployment, revision, rollback  # noqa: PLC0415  only once one was raised
    from bellwether.review import digest, github  # noqa: PLC0415  as above

    return (
        deployment.NotReadyError,
        revision.RevisionError,
        rollback.RollbackError,
        github.GitHubError,
        digest.ReportError,
    )
