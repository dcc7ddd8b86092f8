"""The resource types of the local provider."""

import collections.abc
import typing

from infra.local.provider import file, handler, process, seldon_object, supervisor, topic

HANDLERS: collections.abc.Mapping[str, handler.Handler[typing.Any]] = {
    "bellwether-local:index:File": file.FileHandler(),
    "bellwether-local:index:Process": process.ProcessHandler(),
    "bellwether-local:index:SeldonObject": seldon_object.SeldonObjectHandler(),
    "bellwether-local:index:Supervisor": supervisor.SupervisorHandler(),
    "bellwether-local:index:Topic": topic.TopicHandler(),
}
