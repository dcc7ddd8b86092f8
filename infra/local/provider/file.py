"""Resource type `File`: a rendered file."""

import os
import pathlib

import pydantic

from infra.local.provider import handler, values


class FileInputs(handler.Inputs):
    """A file's path and content."""

    path: str = pydantic.Field(pattern=r"^/", description="absolute path")
    content: str
    executable: bool = False


class FileHandler(handler.Handler[FileInputs]):
    """Written by a rename, so that a reader sees the old or the new content, never a part."""

    inputs = FileInputs
    replace_on = frozenset({"path"})

    def identify(self, wanted: FileInputs) -> str:
        """A file is its path."""
        return wanted.path

    def create(self, wanted: FileInputs, timeout: float) -> values.Plain:
        """Write it, with its folders."""
        del timeout
        path = pathlib.Path(wanted.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(wanted.content)
        temporary.chmod(0o755 if wanted.executable else 0o644)
        temporary.replace(path)
        return {}

    def read(self, last: FileInputs) -> values.Plain | None:
        """Give what is in it now."""
        path = pathlib.Path(last.path)
        try:
            return {
                "content": path.read_text(errors="replace"),
                "executable": os.access(path, os.X_OK),
            }
        except FileNotFoundError:
            return None

    def update(self, old: FileInputs, wanted: FileInputs, timeout: float) -> values.Plain:
        """Write the new content."""
        del old
        return self.create(wanted, timeout)

    def delete(self, last: FileInputs, timeout: float) -> None:
        """Remove it."""
        del timeout
        pathlib.Path(last.path).unlink(missing_ok=True)
