"""The Pulumi provider of the local target: dispatches each request to a resource type's handler."""

import asyncio
import collections.abc
import typing

import pydantic
from pulumi.provider.experimental import property_value, provider

from infra.local.provider import handler, values

DEFAULT_TIMEOUT_SECONDS = 120.0

Properties = dict[str, property_value.PropertyValue]


class LocalProvider(provider.Provider):
    """Check, diff, create, read, update and delete for the resource types `bellwether-local:index:…`."""

    def __init__(self, handlers: collections.abc.Mapping[str, handler.Handler[typing.Any]]) -> None:
        self._handlers = handlers

    async def get_schema(self, request: provider.GetSchemaRequest) -> provider.GetSchemaResponse:
        """Programs use the Python classes of `infra.local.resources`; there is nothing to generate."""
        del request
        return provider.GetSchemaResponse('{"name": "bellwether-local"}')

    async def check_config(self, request: provider.CheckRequest) -> provider.CheckResponse:
        """The provider itself has nothing to configure: any setting is refused."""
        failures = [
            provider.CheckFailure(name, "the provider has no settings")
            for name in request.new_inputs
            if name not in {"version", "pluginDownloadURL"}
        ]
        return provider.CheckResponse(request.new_inputs, failures)

    async def diff_config(self, request: provider.DiffRequest) -> provider.DiffResponse:
        """Nothing to configure, so nothing changes."""
        del request
        return provider.DiffResponse(changes=False)

    async def configure(self, request: provider.ConfigureRequest) -> provider.ConfigureResponse:
        """Say what this provider understands."""
        del request
        return provider.ConfigureResponse(
            accept_secrets=True, supports_preview=True, accept_resources=True, accept_outputs=True
        )

    async def check(self, request: provider.CheckRequest) -> provider.CheckResponse:
        """Validate inputs, naming each property that is wrong; fill defaults in."""
        handler_ = self._handler(request.type)
        plain = values.to_plain(request.new_inputs)
        if values.has_unknown(plain):
            return provider.CheckResponse(request.new_inputs, [])
        try:
            inputs = handler_.inputs.model_validate(plain)
        except pydantic.ValidationError as error:
            failures = [
                provider.CheckFailure(_path(problem["loc"]), _reason(handler_.inputs, problem))
                for problem in error.errors()
            ]
            return provider.CheckResponse(request.new_inputs, failures)
        checked = values.from_plain(inputs.model_dump(mode="json", exclude_none=True))
        return provider.CheckResponse(_secret_as(request.new_inputs, checked), [])

    async def diff(self, request: provider.DiffRequest) -> provider.DiffResponse:
        """Compare the state with the wanted inputs, property by property."""
        handler_ = self._handler(request.type)
        old = values.to_plain(request.old_state)
        new = values.to_plain(request.new_inputs)
        changed = sorted(
            name
            for name in handler_.inputs.model_fields
            if name not in request.ignore_changes and old.get(name) != new.get(name)
        )
        replaces = [name for name in changed if name in handler_.replace_on]
        detail = {
            path: provider.PropertyDiff(
                provider.PropertyDiffKind.UPDATE_REPLACE
                if name in replaces
                else provider.PropertyDiffKind.UPDATE,
                input_diff=False,
            )
            for name in changed
            for path in values.differences(old.get(name), new.get(name), name)
        }
        return provider.DiffResponse(
            changes=bool(changed),
            replaces=replaces,
            diffs=changed,
            detailed_diff=detail,
            delete_before_replace=True,
        )

    async def create(self, request: provider.CreateRequest) -> provider.CreateResponse:
        """Make the resource; a preview says what is known beforehand."""
        if request.preview:
            return provider.CreateResponse("", request.properties)
        handler_ = self._handler(request.type)
        wanted = self._inputs(handler_, request.properties)
        timeout = request.timeout or DEFAULT_TIMEOUT_SECONDS
        outputs = await asyncio.to_thread(handler_.create, wanted, timeout)
        return provider.CreateResponse(
            handler_.identify(wanted), self._state(wanted, outputs, request.properties)
        )

    async def read(self, request: provider.ReadRequest) -> provider.ReadResponse:
        """Say how the resource really is; an empty id says that it is gone."""
        handler_ = self._handler(request.type)
        last = self._inputs(handler_, request.properties)
        outputs = await asyncio.to_thread(handler_.read, last)
        if outputs is None:
            return provider.ReadResponse("", {}, {})
        inputs = {
            name: value
            for name, value in {**last.model_dump(mode="json"), **outputs}.items()
            if name in handler_.inputs.model_fields
        }
        return provider.ReadResponse(
            request.resource_id,
            self._state(last, outputs, request.properties),
            _secret_as(request.properties, values.from_plain(inputs)),
        )

    async def update(self, request: provider.UpdateRequest) -> provider.UpdateResponse:
        """Bring the resource into the wanted state."""
        if request.preview:
            return provider.UpdateResponse({**request.olds, **request.news})
        handler_ = self._handler(request.type)
        old = self._inputs(handler_, request.olds)
        wanted = self._inputs(handler_, request.news)
        timeout = request.timeout or DEFAULT_TIMEOUT_SECONDS
        outputs = await asyncio.to_thread(handler_.update, old, wanted, timeout)
        return provider.UpdateResponse(self._state(wanted, outputs, request.news))

    async def delete(self, request: provider.DeleteRequest) -> None:
        """Take the resource away."""
        handler_ = self._handler(request.type)
        last = self._inputs(handler_, request.properties)
        timeout = request.timeout or DEFAULT_TIMEOUT_SECONDS
        await asyncio.to_thread(handler_.delete, last, timeout)

    def _handler(self, type_: str) -> handler.Handler[typing.Any]:
        try:
            return self._handlers[type_]
        except KeyError:
            known = ", ".join(sorted(self._handlers))
            raise handler.ResourceError(f"no resource type {type_}; known: {known}") from None

    @staticmethod
    def _inputs(handler_: handler.Handler[typing.Any], properties: Properties) -> handler.Inputs:
        plain = values.to_plain(properties)
        fields = handler_.inputs.model_fields
        inputs: handler.Inputs = handler_.inputs.model_validate(
            {name: value for name, value in plain.items() if name in fields}
        )
        return inputs

    @staticmethod
    def _state(inputs: handler.Inputs, outputs: values.Plain, given: Properties) -> Properties:
        state = {**inputs.model_dump(mode="json", exclude_none=True), **outputs}
        return _secret_as(given, values.from_plain(state))


def _secret_as(given: Properties, result: Properties) -> Properties:
    """What came in as a secret goes out as one."""
    return {
        name: value.with_secret(True) if name in given and given[name].contains_secret() else value
        for name, value in result.items()
    }


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "inputs"


def _reason(inputs: type[handler.Inputs], problem: typing.Any) -> str:
    if problem["type"] == "extra_forbidden":
        return f"unknown property; {inputs.__name__} has: {', '.join(inputs.model_fields)}"
    if problem["type"] == "missing":
        return "missing, and it has no default"
    return f"{problem['msg']}, got {problem['input']!r}"
