"""`bellwether audit`: the command, and the file that it writes."""

import contextlib
import os
import pathlib
import re
import tempfile

from bellwether import environment, steps
from models import cache

from . import cards, dossier, gathering, page, records


def found(stack: environment.Stack, identity: str, earlier: pathlib.Path | None) -> dossier.Dossier:
    """Give a prediction's dossier: from the topics, or from a page that was written earlier.

    Raises:
        dossier.AuditError: with the reason, and what to do.

    """
    dossier.checked(identity)
    if earlier is not None:
        return _from_page(earlier, identity)
    wanted = stack.settings()
    reader = records.Reader(f"127.0.0.1:{wanted.ports.kafka}")
    try:
        with steps.step(f"records of {identity}") as step:
            known = cards.local(cache.artifacts())
            made = gathering.gather(reader, identity, wanted.namespace, known)
            step.note = f"{len(made.entries)} records"
    except records.AwayError as error:
        raise dossier.AuditError(
            f"{error}: `make up` brings the environment up, `uv run bellwether status` says what "
            "is wrong; a page that was written earlier can be built again without it: `--from`"
        ) from error
    finally:
        reader.close()
    return made


def write(made: dossier.Dossier, out: pathlib.Path) -> None:
    """Write the page, whole or not at all; raise `AuditError`."""
    drawn = page.render(made).encode()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-")
        temporary = pathlib.Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(drawn)
            temporary.chmod(0o644)
            temporary.replace(out)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise dossier.AuditError(
            f"{out}: cannot be written ({error.strerror}); `--out` names another file"
        ) from error


def default_file(home: pathlib.Path, identity: str) -> pathlib.Path:
    """Give the file of a prediction's page where none is named."""
    return home / "reports" / f"audit-{re.sub(r'[^A-Za-z0-9._-]', '_', identity)}.html"


def _from_page(earlier: pathlib.Path, identity: str) -> dossier.Dossier:
    try:
        read = page.records(earlier.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise dossier.AuditError(f"{earlier}: cannot be read ({error})") from error
    except dossier.AuditError as error:
        raise dossier.AuditError(f"{earlier}: {error}") from error
    if read.id != identity:
        raise dossier.AuditError(f"{earlier} is the page of {read.id!r}, not of {identity!r}")
    return read
