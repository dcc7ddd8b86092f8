"""`bellwether images …`: build, look into, try and push the images of the runtimes."""

import dataclasses
import json
import typing

import rich.table
import typer

from bellwether import steps

if typing.TYPE_CHECKING:
    from bellwether.images import building

app = typer.Typer(help="Images of the runtimes: build, check, push.", no_args_is_help=True)

NamesArgument = typing.Annotated[
    list[str] | None, typer.Argument(help="Images by name; all where none is named.")
]
BaseOption = typing.Annotated[
    str | None,
    typer.Option(
        help="Build on this Debian 12, NAME@sha256:DIGEST; by default the public one of "
        "infra/versions.py, and without docker or podman one made of Debian's packages."
    ),
]
FreshOption = typing.Annotated[
    bool, typer.Option("--fresh", help="Use nothing that an earlier build left.")
]
JsonOption = typing.Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("build")
def build_command(
    names: NamesArgument = None,
    base: BaseOption = None,
    fresh: FreshOption = False,
    push: typing.Annotated[
        str | None,
        typer.Option(help="Also push to this registry, HOST/PATH, and print the digests."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Build what is not here yet, and look into it: budget, packages, user, bytecode, no tools."""
    from bellwether.images import building, catalogue  # noqa: PLC0415  a command loads what it uses

    engine = building.chosen()
    built = building.build(engine, catalogue.named(names or ()), on=base, fresh=fresh)
    if push is not None:
        built = [building.pushed(engine, each, push) for each in built]
    if json_:
        _print_json([dataclasses.asdict(each) for each in built])
    else:
        steps.console.print(_table(built))


@app.command("check")
def check_command(
    names: NamesArgument = None, base: BaseOption = None, json_: JsonOption = False
) -> None:
    """Start images as a pod would, read-only and as nobody in particular, and ask them something."""
    from bellwether.images import building, catalogue, checking  # noqa: PLC0415  as above

    engine = building.chosen()
    built = building.build(engine, catalogue.named(names or ()), on=base)
    found = [checking.check(engine, each) for each in built]
    if json_:
        _print_json([dataclasses.asdict(each) for each in found])
        return
    shown = rich.table.Table()
    for heading in ("image", "answered after", "user", "root", "asked", "answer"):
        shown.add_column(heading, overflow="fold")
    for each in found:
        root = "read-only" if each.read_only else "writable"
        shown.add_row(
            each.name, f"{each.seconds:.1f} s", str(each.user), root, each.asked, each.answer
        )
    steps.console.print(shown)


@app.command("base")
def base_command(fresh: FreshOption = False, json_: JsonOption = False) -> None:
    """Make the base of Debian's packages that is built on where no registry can be reached."""
    from bellwether.images import base, buildah, building  # noqa: PLC0415  as above

    building.allowed()
    made = base.make(buildah.Buildah(), fresh=fresh)
    if json_:
        _print_json({"id": made, "tag": base.tag()})
    else:
        steps.console.print(f"{base.tag()}  {made}")


@app.command("changed")
def changed_command(
    since: typing.Annotated[str, typer.Option(help="The commit to compare with.")],
    json_: JsonOption = False,
) -> None:
    """Say which images are others than at a commit: their code, their packages, or their base."""
    from bellwether.images import changes  # noqa: PLC0415  as above

    found = changes.since(since)
    if json_:
        images = {each.name: dataclasses.asdict(each) for each in found}
        _print_json({"since": since, "changed": changes.names(found), "images": images})
        return
    for name in changes.names(found):
        print(name)  # noqa: T201  results go to standard output


@app.command("list")
def list_command(json_: JsonOption = False) -> None:
    """List the images: what each is for, what it is made of, its budget."""
    from bellwether.images import catalogue  # noqa: PLC0415  as above

    if json_:
        _print_json(
            [
                {**dataclasses.asdict(each), "dockerfile": each.dockerfile, "sources": each.sources}
                for each in catalogue.IMAGES
            ]
        )
        return
    shown = rich.table.Table()
    for heading in ("image", "for", "packages", "budget"):
        shown.add_column(heading)
    for each in catalogue.IMAGES:
        shown.add_row(each.name, each.purpose, each.group, f"{each.megabytes} MB")
    steps.console.print(shown)


@app.command("clean")
def clean_command() -> None:
    """Remove what buildah keeps: images, their layers, the base."""
    from bellwether.images import buildah, building  # noqa: PLC0415  as above

    building.allowed()
    buildah.Buildah().clean()


def _print_json(value: typing.Any) -> None:
    print(json.dumps(value, indent=2))  # noqa: T201  results go to standard output


def _table(built: "list[building.Built]") -> rich.table.Table:
    shown = rich.table.Table()
    for heading in ("image", "MB", "budget", "built in", "reference", "pushed as"):
        shown.add_column(heading, overflow="fold")
    for each in built:
        took = f"{each.seconds:.0f} s" if each.seconds else "was here"
        shown.add_row(
            each.name, f"{each.megabytes:.0f}", str(each.budget), took, each.reference,
            each.digest or "",
        )  # fmt: skip
    return shown
