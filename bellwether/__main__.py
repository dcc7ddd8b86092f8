"""`bellwether`: the one command, on a laptop and in CI."""

import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
import typing

import pydantic
import rich.markup
import rich.table
import typer

from bellwether import (
    bandit_commands,
    deployment_commands,
    environment,
    images_commands,
    setup,
    steps,
)
from infra import paths, settings
from infra.local import toolchain

if typing.TYPE_CHECKING:
    from bellwether import status as status_module

app = typer.Typer(
    help="Model serving as code for financial forecasts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StackOption = typing.Annotated[
    str, typer.Option("--stack", "-s", envvar="BELLWETHER_STACK", help="The stack to act on.")
]
JsonOption = typing.Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DataOption = typing.Annotated[
    pathlib.Path | None,
    typer.Option(
        "--data",
        resolve_path=True,
        help="A folder of OHLCV CSV files, one a symbol, instead of the built-in data.",
    ),
]


_DATES = ["%Y-%m-%d"]


def _print_json(value: typing.Any) -> None:
    if isinstance(value, pydantic.BaseModel):
        value = value.model_dump(mode="json")
    print(json.dumps(value, indent=2, default=str))  # noqa: T201  results go to standard output


@app.command("setup")
def setup_command(
    cluster: typing.Annotated[
        bool,
        typer.Option("--cluster", help="Only what a cluster's stack needs: Pulumi, a provider."),
    ] = False,
) -> None:
    """Install what the local environment needs and does not find; `up` does this by itself."""
    if cluster:
        setup.install_for_cluster()
    else:
        setup.install(training=True)


@app.command()
def up(
    stack: StackOption = environment.DEFAULT_STACK,
    plan: typing.Annotated[
        pathlib.Path | None,
        typer.Option(help="Do what this plan says (`preview --save-plan`), or nothing."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Bring the environment up: install, train, start, declare, and say what is there."""
    from bellwether import status, training  # noqa: PLC0415  a command loads what it uses: --help stays quick
    from models import sources  # noqa: PLC0415  as above

    selected = environment.Stack(stack)
    if deployment_commands.up(selected, plan, json_=json_):
        return
    wanted = selected.settings()
    trained = training.trained(wanted.data, wanted.seed)
    setup.install(training=trained is None)
    if trained is None:
        _train(wanted.data, wanted.seed)
    change = environment.up(selected)
    current = status.read(selected)
    if json_:
        _print_json({"changes": change.counts, "status": current.model_dump(mode="json")})
        return
    steps.console.print(status.table(current))
    ports = wanted.ports
    symbol = next(iter(sources.Source(wanted.data).files()))
    steps.console.print(
        f"predictions  http://127.0.0.1:{ports.gateway}/v2/models/<model>/infer\n"
        f"objects      http://127.0.0.1:{ports.mesh}/apis/mlops.seldon.io/v1alpha1/namespaces/{wanted.namespace}\n"
        f"metrics      http://127.0.0.1:{ports.prometheus}\n\n"
        f"Next: [bold]uv run bellwether predict --symbol {symbol}[/]\n"
        "      [bold]uv run bellwether load --users 20 --duration 30s[/]"
    )


@app.command()
def down(stack: StackOption = environment.DEFAULT_STACK) -> None:
    """Take the environment down: no process and no port stays, data does."""
    environment.down(environment.Stack(stack))


@app.command("status")
def status_command(
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
    picture: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Also write it as a picture, to this SVG file.")
    ] = None,
) -> None:
    """Say what every part does right now. Exit code 1 if not all of it serves."""
    from bellwether import status  # noqa: PLC0415  a command loads what it uses

    current: status_module.Status = status.read(environment.Stack(stack))
    if json_:
        _print_json(current)
    elif len(current.components) == 1 and current.components[0].state == "down":
        steps.console.print("Nothing runs. `make up` brings the environment up.")
    else:
        steps.console.print(status.table(current))
    if picture:
        steps.save_picture(status.table(current), picture, "uv run bellwether status")
    raise typer.Exit(0 if current.serving else 1)


@app.command("alerts")
def alerts_command(
    stack: StackOption = environment.DEFAULT_STACK, json_: JsonOption = False
) -> None:
    """Say what is amiss right now, with the page that helps. Exit code 1 if an alert fires."""
    from bellwether import alerts  # noqa: PLC0415  a command loads what it uses

    found = alerts.read(environment.Stack(stack))
    if json_:
        _print_json(found)
    elif found.alerts:
        steps.console.print(alerts.table(found))
    else:
        steps.console.print("Nothing is amiss.")
    raise typer.Exit(1 if found.firing else 0)


@app.command("console")
def console_command(
    stack: StackOption = environment.DEFAULT_STACK,
    open_: typing.Annotated[
        bool, typer.Option("--open", help="Also open it in this machine's browser.")
    ] = False,
) -> None:
    """Say where the console is."""
    url = f"http://127.0.0.1:{environment.Stack(stack).settings().ports.console}/"
    steps.console.print(url, markup=False)
    if open_:
        typer.launch(url)


@app.command("predict")
def predict_command(  # noqa: PLR0913  each is an option of the command
    symbol: typing.Annotated[str, typer.Option(help="The symbol to forecast, such as SPX.")],
    model: typing.Annotated[
        str | None, typer.Option(help="Ask this model instead of the experiment.")
    ] = None,
    data: DataOption = None,
    save: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Also write the request to this file, for curl.")
    ] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Forecast from the newest data of a symbol, through the gateway."""
    from bellwether import predict  # noqa: PLC0415  a command loads what it uses

    target = model or f"{predict.EXPERIMENT}.experiment"
    selected = environment.Stack(stack)
    day = predict.newest(selected, symbol, data)
    if save:
        save.write_text(json.dumps(predict.inference_request(day)) + "\n")
    found = predict.predict(selected, day, target)
    if json_:
        _print_json(found)
        return
    shown = rich.table.Table(
        show_header=False, title=f"{found.symbol} on {found.date}", title_justify="left"
    )
    shown.add_row("volatility, next 5 days", f"{found.volatility:.1%} a year")
    shown.add_row("interval", f"{found.interval[0]:.1%} to {found.interval[1]:.1%}")
    shown.add_row("rises tomorrow", f"{found.direction:.1%}")
    shown.add_row("answered by", f"{found.model} ({found.route})")
    shown.add_row("request", found.request_id)
    shown.add_row("took", f"{found.milliseconds:.1f} ms")
    steps.console.print(shown)


@app.command("decide")
def decide_command(
    symbol: typing.Annotated[str, typer.Option(help="The symbol to decide on, such as SPX.")],
    feature: typing.Annotated[
        list[str] | None,
        typer.Option(help="What if: another value for a feature, such as rsi_14d=80."),
    ] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Forecast, explain and decide from what the feature store knows now, through the pipeline."""
    from bellwether import decide  # noqa: PLC0415  a command loads what it uses

    found = decide.decide(environment.Stack(stack), symbol, decide.values(feature or ()))
    if json_:
        _print_json(found)
        return
    for table in decide.tables(found):
        steps.console.print(table)


@app.command("audit")
def audit_command(
    prediction_id: typing.Annotated[
        str, typer.Argument(help="As an answer carries it: `prediction_id`, or `x-request-id`.")
    ],
    out: typing.Annotated[
        pathlib.Path | None,
        typer.Option(help="The page; without it, a file in `.bellwether/reports`."),
    ] = None,
    earlier: typing.Annotated[
        pathlib.Path | None,
        typer.Option("--from", help="Build it again from the records inside an earlier page."),
    ] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Write all that is recorded of a prediction as one page: inputs, features, why, rules, reward."""
    from bellwether.audit import commands  # noqa: PLC0415  a command loads what it uses

    selected = environment.Stack(stack)
    made = commands.found(selected, prediction_id, earlier)
    page = out or commands.default_file(selected.home, prediction_id)
    commands.write(made, page)
    if json_:
        _print_json({"page": str(page), "digest": made.digest, "records": len(made.entries)})
        return
    steps.console.print(f"{page}\n{len(made.entries)} records, SHA-256 {made.digest}")


@app.command("explain")
def explain_command(  # noqa: PLR0913  each is an option of the command
    symbol: typing.Annotated[str, typer.Option(help="The symbol whose forecast is explained.")],
    model: typing.Annotated[
        str, typer.Option(help="The predictor that forecasts.")
    ] = "baseline-predictor",
    method: typing.Annotated[
        str,
        typer.Option(
            help="shap, permutations, integrated_gradients, lime, importances or counterfactual."
        ),
    ] = "shap",
    target_volatility: typing.Annotated[
        float | None, typer.Option(help="The border that a counterfactual crosses, such as 0.2.")
    ] = None,
    target: typing.Annotated[
        str | None, typer.Option(help="What a counterfactual flips: volatility or direction.")
    ] = None,
    seed: typing.Annotated[int | None, typer.Option(help="Seed of what is random.")] = None,
    data: DataOption = None,
    save: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Also draw it, into this .png or .svg file.")
    ] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Say why the forecast from the newest data of a symbol is what it is."""
    from bellwether import explain, predict  # noqa: PLC0415  a command loads what it uses

    if save:
        explain.check_picture(save)
    selected = environment.Stack(stack)
    found = explain.explain(
        selected.endpoints().gateway,
        predict.newest(selected, symbol, data),
        model=model,
        method=method,
        target=target,
        target_volatility=target_volatility,
        seed=seed,
    )
    if save:
        explain.draw(found, save)
    if json_:
        _print_json(found)
        return
    for table in explain.tables(found):
        steps.console.print(table)


@app.command()
def train(
    data: DataOption = None,
    seed: typing.Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Train the models whose code or data changed."""
    wanted_data, wanted_seed = environment.Stack(stack).trained_on()
    setup.install(training=True)
    _train(data or wanted_data, wanted_seed if seed is None else seed, as_json=json_)
    if data is not None and data != wanted_data and not json_:
        steps.console.print(
            f"To serve these models: set `bellwether:data: {data}` in Pulumi.{stack}.yaml and run `make up`."
        )


@app.command()
def evaluate(  # noqa: PLR0913  each is an option of the command
    data: DataOption = None,
    models: typing.Annotated[
        str | None, typer.Option(help="Only these, separated by commas.")
    ] = None,
    from_year: typing.Annotated[
        int | None, typer.Option(help="The first year that is forecast.")
    ] = None,
    seed: typing.Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Walk forward through the data and print each model's errors with their intervals."""
    from bellwether import training  # noqa: PLC0415  a command loads what it uses

    wanted = environment.Stack(stack).settings()
    setup.install(training=True)
    _child(
        training.evaluate_command(
            toolchain.python_of("training"),
            data or wanted.data,
            wanted.seed if seed is None else seed,
            models=models,
            from_year=from_year,
            as_json=json_,
        )
    )


@app.command("load")
def load_command(  # noqa: PLR0913  each is an option of the command
    users: typing.Annotated[int, typer.Option(help="Callers at the same time, at most.")] = 20,
    duration: typing.Annotated[
        str | None, typer.Option(help="How long, such as 30s or 2m; by default as the shape says.")
    ] = None,
    journey: typing.Annotated[
        str,
        typer.Option(help="model, experiment, pipeline, explanation, reward, or mixed: all of it."),
    ] = "mixed",
    shape: typing.Annotated[
        str, typer.Option(help="Callers over time: steady, ramp, spike or soak.")
    ] = "steady",
    protocol: typing.Annotated[str, typer.Option(help="rest or grpc.")] = "rest",
    rate: typing.Annotated[
        float | None,
        typer.Option(help="Requests a second of each caller; by default as the journey says."),
    ] = None,
    against: typing.Annotated[
        str | None,
        typer.Option(
            help="Another gateway's URL, also https://; the split is not tested then. A token in "
            "BELLWETHER_LOAD_TOKEN is sent along."
        ),
    ] = None,
    host_header: typing.Annotated[
        str | None, typer.Option(help="The name to ask for instead of the URL's, also from TLS.")
    ] = None,
    ca_file: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Certificates (PEM) to trust.", resolve_path=True)
    ] = None,
    model: typing.Annotated[
        list[str] | None,
        typer.Option(help="Ask these models; by default all predictors that are declared."),
    ] = None,
    baseline: typing.Annotated[
        str | None, typer.Option(help="Compare with this kept run; slower than it fails.")
    ] = None,
    save_baseline: typing.Annotated[
        str | None, typer.Option(help="Keep this run under a name.")
    ] = None,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Run a load test; leave reports in `.bellwether/reports`; broken thresholds fail it."""
    from bellwether import load  # noqa: PLC0415  a command loads what it uses

    load.command(
        environment.Stack(stack),
        load.Wanted(
            journey=journey,
            shape=shape,
            protocol=protocol,
            users=users,
            duration=duration,
            rate=rate,
            against=against,
            host=host_header,
            ca_file=None if ca_file is None else str(ca_file),
            models=tuple(model or ()),
        ),
        baseline=baseline,
        save_baseline=save_baseline,
        as_json=json_,
    )


@app.command("bench")
def bench_command(
    names: typing.Annotated[
        list[str] | None, typer.Argument(help="Which benchmarks; all of them if none is named.")
    ] = None,
    rounds: typing.Annotated[int, typer.Option(help="Rounds, at least five.")] = 5,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Measure side by side: what a part costs, as a ratio within one run."""
    from bellwether import bench  # noqa: PLC0415  a command loads what it uses

    selected = environment.Stack(stack)
    cli = (sys.executable, "-m", "bellwether")
    os.environ["BELLWETHER_STACK"] = stack
    bench.run(selected.endpoints(), names or (), rounds=rounds, cli=cli, as_json=json_)


simulate_app = typer.Typer(help="Try what is declared in made-up worlds.", no_args_is_help=True)
app.add_typer(deployment_commands.app)
app.add_typer(simulate_app, name="simulate")


@simulate_app.command("bandit")
def simulate_bandit_command(
    environment_file: typing.Annotated[
        pathlib.Path,
        typer.Option("--environment", help="A JSON file: arms, horizon, phases, the policy…"),
    ],
    plot: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Also draw the curves of regret into this file.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Try a policy, the catalogue's where none is given, beside simpler ones and an oracle."""
    from bellwether import simulation  # noqa: PLC0415  a command loads what it uses

    found = simulation.run(environment_file, plot)
    if json_:
        _print_json(simulation.document(found))
    else:
        steps.console.print(simulation.table(found))


@simulate_app.command("router")
def simulate_router_command(
    history: typing.Annotated[
        bool, typer.Option("--history", help="On real days that no model had seen, instead.")
    ] = False,
    repetitions: typing.Annotated[int, typer.Option(min=2, help="Of each world.")] = 10,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Try the router's contextual policy beside the thresholds' rule and fixed branches."""
    from bellwether import router_tables  # noqa: PLC0415  a command loads what it uses

    settings = environment.Stack(stack).settings() if history else None
    found = router_tables.run(settings, repetitions)
    if json_:
        _print_json(found.document())
    else:
        steps.console.print(found.table())


features_app = typer.Typer(help="The feature store.", no_args_is_help=True)
app.add_typer(features_app, name="features")
app.add_typer(bandit_commands.app, name="bandit")
app.add_typer(images_commands.app, name="images")


@features_app.command("training-set")
def training_set_command(  # noqa: PLR0913  each is an option of the command
    out: typing.Annotated[pathlib.Path, typer.Option(help="Write to this file, .parquet or .csv.")],
    symbols: typing.Annotated[str, typer.Option(help="Only these, separated by commas.")] = "",
    first: typing.Annotated[
        dt.datetime | None, typer.Option("--from", formats=_DATES, help="The first day.")
    ] = None,
    last: typing.Annotated[
        dt.datetime | None, typer.Option("--to", formats=_DATES, help="The last day.")
    ] = None,
    service: typing.Annotated[
        str, typer.Option(help="What to join: forecasting or enriched.")
    ] = "forecasting",
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Write what was known of symbols at each day's close, joined point in time."""
    from bellwether import features  # noqa: PLC0415  a command loads what it uses

    with steps.step("training set") as step:
        made = features.training_set(
            environment.Stack(stack),
            out,
            symbols=symbols,
            first=None if first is None else first.date().isoformat(),
            last=None if last is None else last.date().isoformat(),
            service=service,
        )
        step.note = f"{made.rows} rows, {made.complete} of them complete, in {made.file}"
    if json_:
        _print_json(made)


@features_app.command("show")
def features_show_command(
    symbol: typing.Annotated[str, typer.Option(help="The symbol to look at, such as SPX.")],
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Show what the online store knows of a symbol, as the pipeline's first step gives it."""
    from bellwether import features  # noqa: PLC0415  a command loads what it uses

    found = features.online(environment.Stack(stack), symbol)
    if json_:
        _print_json(found)
        return
    shown = rich.table.Table(
        title=f"{found.symbol} on {found.date or 'no day'}", title_justify="left"
    )
    shown.add_column("feature")
    shown.add_column("value", justify="right")
    for name, value in found.features.items():
        shown.add_row(name, "missing" if value is None else f"{value:.4f}")
    shown.add_row("quality", f"{found.quality_score:.3f}", style="bold")
    steps.console.print(shown)
    steps.console.print(found.quality["reason"])


@app.command("replay")
def replay_command(  # noqa: PLR0913  each is an option of the command
    speed: typing.Annotated[float, typer.Option(help="Trading days a second.")] = 20,
    first: typing.Annotated[
        dt.datetime | None,
        typer.Option("--from", formats=_DATES, help="The first day; else the last 252 are sent."),
    ] = None,
    last: typing.Annotated[
        dt.datetime | None, typer.Option("--to", formats=_DATES, help="The last day.")
    ] = None,
    symbols: typing.Annotated[str, typer.Option(help="Only these, separated by commas.")] = "",
    data: DataOption = None,
    no_news: typing.Annotated[
        bool, typer.Option("--no-news", help="Send no made-up headlines and posts.")
    ] = False,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Feed real history to the feature stream, day by day, with made-up headlines and posts."""
    from bellwether import replay  # noqa: PLC0415  a command loads what it uses

    with steps.step("replay") as step:

        def said(days: int, day: dt.date | None) -> None:
            if day is None:
                step.total(days)
                return
            step.advance()
            step.describe(day.isoformat())

        try:
            done = replay.run(
                environment.Stack(stack),
                speed,
                first=None if first is None else first.date(),
                last=None if last is None else last.date(),
                symbols=[symbol for symbol in symbols.split(",") if symbol],
                data=data,
                news=not no_news,
                said=said,
            )
        except KeyboardInterrupt:
            step.note = "interrupted: the market's clock stands where it was"
            raise typer.Exit(130) from None
        step.note = (
            f"{done.first} to {done.last}: {done.bars} bars, {done.texts} made-up texts, "
            f"{done.days_a_second} days a second"
        )
    if done.behind:
        steps.console.print(
            f"[yellow]The feature stream is {done.behind} records behind:[/] "
            "`uv run bellwether status` says whether it runs."
        )
    if json_:
        _print_json(done)


report_app = typer.Typer(help="Reports, as pages.", no_args_is_help=True)
app.add_typer(report_app, name="report")


@report_app.command("drift")
def report_drift_command(
    symbol: typing.Annotated[str, typer.Option(help="The symbol whose days are compared.")],
    out: typing.Annotated[pathlib.Path, typer.Option(help="The page, an HTML file.")],
    days: typing.Annotated[
        int, typer.Option(min=25, max=5000, help="The last so many distinct days.")
    ] = 200,
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Compare a symbol's last days with its training reference, feature by feature (Evidently)."""
    from bellwether.reports import drift, drift_table  # noqa: PLC0415  a command loads what it uses

    found = drift.make(environment.Stack(stack), symbol, out, days)
    if json_:
        _print_json(found)
        return
    steps.console.print(drift_table.table(found))
    steps.console.print(str(out))


monitor_app = typer.Typer(help="What the monitor has seen.", no_args_is_help=True)
app.add_typer(monitor_app, name="monitor")


@monitor_app.command("query")
def monitor_query_command(
    sql: typing.Annotated[
        str, typer.Argument(help="SQL over predictions, features, decisions, rewards.")
    ],
    stack: StackOption = environment.DEFAULT_STACK,
    json_: JsonOption = False,
) -> None:
    """Ask the monitor's files, such as "select model, count(*) from predictions group by model"."""
    from bellwether import monitor  # noqa: PLC0415  a command loads what it uses

    rows = monitor.query(environment.Stack(stack), sql)
    if json_:
        _print_json(rows)
    else:
        steps.console.print(monitor.table(rows))


artifacts_app = typer.Typer(help="What was trained, where clusters read it.", no_args_is_help=True)
app.add_typer(artifacts_app, name="artifacts")


@artifacts_app.command("push")
def artifacts_push_command(
    stack: typing.Annotated[
        str, typer.Option("--stack", "-s", help="A cluster's stack: dev, staging, production.")
    ],
    json_: JsonOption = False,
) -> None:
    """Copy what was trained into the stack's bucket; what is there already is never changed."""
    from bellwether import artifacts  # noqa: PLC0415  a command loads what it uses

    with steps.step(f"artifacts of `{stack}`") as step:
        seen: set[str] = set()

        def said(count: int, name: str) -> None:
            if not seen:
                step.total(count)
            else:
                step.advance()
            seen.add(name)
            step.describe(name)

        made = artifacts.push(stack, said)
        step.note = f"{sum(each.new for each in made)} of {len(made)} are new"
    if json_:
        _print_json(made)
        return
    for each in made:
        steps.console.print(f"{'new ' if each.new else 'same'} {each.uri}", soft_wrap=True)


@app.command("render")
def render_command(
    stack: typing.Annotated[
        str, typer.Option("--stack", "-s", help="A cluster's stack: dev, staging, production.")
    ],
    out: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Write below this folder.")
    ] = None,
    capability: typing.Annotated[
        str | None,
        typer.Option(help="Only this capability's objects, by default into k8s/advanced/."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Write every manifest that a cluster's stack registers, sorted and stable, without a cluster."""
    from bellwether import render  # noqa: PLC0415  a command loads what it uses

    if capability is not None:
        made = render.capability(stack, capability, out)
    elif out is not None:
        made = render.stack(stack, out)
    else:
        raise settings.SettingsError("say where to: `--out DIR`, or `--capability NAME`")
    if json_:
        _print_json(made)
    else:
        steps.console.print(f"{made.files} files of stack {made.stack} in {made.out}")


@app.command("policies")
def policies_command(
    stack: typing.Annotated[
        str, typer.Option("--stack", "-s", help="A cluster's stack: dev, staging, production.")
    ],
    markdown: typing.Annotated[
        pathlib.Path | None, typer.Option(help="Also append the Markdown to this file.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Judge everything that a cluster's stack registers, without a cluster; Markdown, or JSON."""
    from bellwether import policies  # noqa: PLC0415  a command loads what it uses

    made = policies.audit(stack)
    if markdown is not None:
        with markdown.open("a") as summary:
            summary.write(made.markdown())
    if json_:
        _print_json(made.document())
    else:
        typer.echo(made.markdown(), nl=False)
    if not made.passed:
        raise typer.Exit(1)


@app.command("test")
def check(
    tier: typing.Annotated[
        list[str] | None,
        typer.Option(help="Only these: lint, types, unit, cluster, stack, browser, images."),
    ] = None,
) -> None:
    """Run everything that CI checks, with one closing count."""
    from bellwether import checks, training  # noqa: PLC0415  a command loads what it uses

    unknown = set(tier or ()) - set(checks.TIERS)
    if unknown:
        raise settings.SettingsError(
            f"unknown tier {', '.join(unknown)}; known: {', '.join(checks.TIERS)}"
        )
    chosen = tuple(t for t in checks.TIERS if not tier or t in tier)
    wanted = environment.Stack("test").settings()
    definitions = paths.ROOT.parent / "shared" / "crds"
    setup.install(
        training=True,
        lint="lint" in chosen,
        api_server="cluster" in chosen and definitions.exists(),
    )
    if "stack" in chosen and training.trained(wanted.data, wanted.seed) is None:
        _train(wanted.data, wanted.seed)
    raise typer.Exit(0 if checks.run(chosen) else 1)


def _train(data: pathlib.Path | None, seed: int, *, as_json: bool = False) -> None:
    from bellwether import training  # noqa: PLC0415  a command loads what it uses

    _child(training.train_command(toolchain.python_of("training"), data, seed, as_json=as_json))


def _child(command: list[str]) -> None:
    """Run a command of another environment in this terminal; its failure is ours."""
    ended = subprocess.run(command, cwd=paths.ROOT, check=False)
    if ended.returncode:
        raise typer.Exit(ended.returncode)


def _expected_errors() -> tuple[type[Exception], ...]:
    """Name the errors whose message is all that a person needs."""
    from bellwether import (  # noqa: PLC0415  only once something went wrong
        alerts,
        artifacts,
        explain,
        features,
        load,
        monitor,
        predict,
        simulation,
    )
    from bellwether.audit import dossier  # noqa: PLC0415  as above
    from bellwether.images import catalogue  # noqa: PLC0415  as above
    from bellwether.reports import drift  # noqa: PLC0415  as above
    from loadtests import endpoints  # noqa: PLC0415  as above
    from models import sources  # noqa: PLC0415  as above
    from runtimes.bandit.judging import acting  # noqa: PLC0415  as above

    return (
        settings.SettingsError,
        setup.SetupError,
        toolchain.MissingToolError,
        environment.EnvironmentFailedError,
        alerts.AlertsError,
        predict.PredictionError,
        features.FeatureStoreError,
        explain.ExplanationError,
        acting.BanditError,
        catalogue.ImageError,
        artifacts.ArtifactsError,
        monitor.MonitorError,
        sources.DataError,
        endpoints.LoadTestError,
        load.ThresholdsBrokenError,
        simulation.SimulationError,
        dossier.AuditError,
        drift.ReportError,
        *deployment_commands.expected_errors(),
    )


def main() -> None:
    """Run the command line; what is wrong is said in one message, without a traceback."""
    try:
        app()
    except Exception as error:
        if not isinstance(error, _expected_errors()):
            raise
        steps.console.print(f"[red]error:[/] {rich.markup.escape(str(error))}")
        sys.exit(1)


if __name__ == "__main__":
    main()
