"""Running a program to its end."""

import pathlib
import subprocess

from bellwether.images import catalogue


def run(
    command: list[str],
    *,
    cwd: pathlib.Path | None = None,
    env: dict[str, str] | None = None,
    log: pathlib.Path | None = None,
) -> str:
    """Run a program to its end; give its standard output, or write all it says into `log`.

    Raises:
        catalogue.ImageError: it failed; with the end of what it said.

    """
    if log is None:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
        said = done.stderr + done.stdout
    else:
        with log.open("w") as out:
            done = subprocess.run(
                command, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT, text=True, check=False
            )  # fmt: skip
        said = log.read_text()
    if done.returncode:
        last = "\n".join(f"    {line}" for line in said.strip().splitlines()[-15:])
        where = f"; all of it is in {log}" if log else ""
        shown = " ".join(command[:3])
        raise catalogue.ImageError(f"`{shown} …` failed with {done.returncode}:\n{last}{where}")
    return done.stdout or ""
