"""A process's configuration: one JSON file, read by the model of what it may say."""

import pathlib
from typing import TypeVar

import pydantic

Settings = TypeVar("Settings", bound=pydantic.BaseModel)


class ConfigurationError(Exception):
    """The configuration file cannot be used; the message says how to mend it."""


def read(path: pathlib.Path, model: type[Settings]) -> Settings:
    """Read the file; raise `ConfigurationError` that names all that is wrong in it."""
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except pydantic.ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, detail['loc'])) or 'the file'}: {detail['msg']}"
            for detail in error.errors()
        )
        known = ", ".join(model.model_fields)
        raise ConfigurationError(f"{path}: {wrong}; known are {known}") from error
