"""How a call's records go from the model server to the process that publishes them.

A call is a frame: `HEAD`, then a pickle of plain tuples.
A content stands in it once, however many of the records it is in; records refer to it by number.
What only the model server can use of it, its own objects, stays behind.
"""

import pickle
import struct
from collections.abc import Iterator
from typing import Any

from infra.local.dataflow.journal import Record
from infra.local.dataflow.tensors import Content, Message, Request, Tensor

HEAD = struct.Struct("<II")
"""How many bytes follow, and how many records they are."""

_PROTOCOL = 5


def pack(records: list[Record]) -> bytes:
    """Make a frame. Raises whatever pickling a model's objects raises."""
    numbers: dict[Content, int] = {}
    contents: list[tuple[Any, ...]] = []
    plain: list[tuple[Any, ...]] = []
    for topic, request, pipeline, version, message, *rest in records:
        head = (topic, request.id, request.headers, pipeline, version)
        if message is None:
            plain.append((*head, None, None, (), *rest))
            continue
        names: list[str | int] = []
        for name, content in message.tensors:
            number = numbers.get(content)
            if number is None:
                number = numbers[content] = len(contents)
                contents.append((content.datatype, content.shape, content.data, content.parameters))
            names += (name, number)
        plain.append((*head, names, message.parameters, message.headers, *rest))
    body = pickle.dumps((contents, plain), _PROTOCOL)
    return HEAD.pack(len(body), len(records)) + body


def unpack(body: bytes | memoryview) -> list[Record]:
    """Read what stands behind a frame's head. Raises whatever unpickling raises."""
    plain_contents, plain = pickle.loads(body)  # noqa: S301 - from the process that started this one
    contents = [Content(*each) for each in plain_contents]
    records = []
    for topic, request_id, own, pipeline, version, names, parameters, headers, *rest in plain:
        message = None
        if names is not None:
            pairs = zip(names[::2], names[1::2], strict=True)
            tensors = tuple([Tensor(name, contents[number]) for name, number in pairs])
            message = Message(tensors, 0.0, parameters, headers)
        request = Request(request_id, (), None, own)
        records.append(Record(topic, request, pipeline, version, message, *rest))
    return records


class Frames:
    """Takes bytes as they come, and gives whole frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Give the frames that are whole now: how many records, and what stands behind the head."""
        self._held += data
        begin = 0
        while len(self._held) - begin >= HEAD.size:
            size, records = HEAD.unpack_from(self._held, begin)
            end = begin + HEAD.size + size
            if len(self._held) < end:
                break
            yield records, bytes(memoryview(self._held)[begin + HEAD.size : end])
            begin = end
        del self._held[:begin]
