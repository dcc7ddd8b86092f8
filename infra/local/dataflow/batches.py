"""A step that collects rows over requests and calls its model once for all of them.

Seldon puts the tensors of successive requests together until there are `batch.size` rows,
and calls the model with the id of the last; the others never get an answer.
Here each request gets its rows of the answer, and a batch that does not fill up is called
`PATIENCE_SECONDS` after its first request came, with what is there.

Only requests alike can share a call: the same tensors, datatypes and sizes of a row.
A request whose tensors have no common number of rows is called alone.
An output that has no row for each row of the batch is given to every request whole.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from infra.local.dataflow.tensors import Content, Given, StepRequest, Tensor

PATIENCE_SECONDS = 0.5

Ask = Callable[[StepRequest], Awaitable[Given]]


class _Waiting(NamedTuple):
    request: StepRequest
    rows: int
    answer: asyncio.Future[Given]


class _Collected:
    """Requests alike that wait for one call."""

    def __init__(self) -> None:
        self.waiting: list[_Waiting] = []
        self.rows = 0
        self.timer: asyncio.TimerHandle | None = None


class Batch:
    """The batches of one step."""

    def __init__(self, size: int, patience: float = PATIENCE_SECONDS) -> None:
        self._size = size
        self._patience = patience
        self._collected: dict[object, _Collected] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, request: StepRequest, ask: Ask) -> Given:
        """Answer one request with its rows of a batch's answer."""
        rows = _rows(request)
        if rows is None:
            return await ask(request)
        alike = tuple(
            (name, content.datatype, *content.shape[1:]) for name, content in request.tensors
        )
        if rows >= self._size and alike not in self._collected:
            return await ask(request)
        collected = self._collected.setdefault(alike, _Collected())
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, rows, loop.create_future())
        collected.waiting.append(waiting)
        collected.rows += rows
        if collected.rows >= self._size:
            self._call(alike, ask)
        elif collected.timer is None:
            collected.timer = loop.call_later(self._patience, self._call, alike, ask)
        return await waiting.answer

    def _call(self, alike: object, ask: Ask) -> None:
        collected = self._collected.pop(alike)
        if collected.timer is not None:
            collected.timer.cancel()
        # Whoever was cancelled meanwhile is not asked for.
        waiting = [each for each in collected.waiting if not each.answer.done()]
        if not waiting:
            return
        task = asyncio.get_running_loop().create_task(_answer(waiting, ask))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)


async def _answer(waiting: list[_Waiting], ask: Ask) -> None:
    """Ask once, and give every request its rows. Never raises: errors are the requests' own."""
    try:
        if len(waiting) == 1:
            parts = [await ask(waiting[0].request)]
        else:
            given = await ask(_together([each.request for each in waiting]))
            parts = _apart(given, [each.rows for each in waiting])
    except BaseException as error:
        for each in waiting:
            if not each.answer.done():
                each.answer.set_exception(error)
        if not isinstance(error, Exception):
            raise
        return
    for each, part in zip(waiting, parts, strict=True):
        if not each.answer.done():
            each.answer.set_result(part)


def _rows(request: StepRequest) -> int | None:
    sizes = {content.shape[0] if content.shape else None for _, content in request.tensors}
    return sizes.pop() if len(sizes) == 1 else None


def _together(requests: list[StepRequest]) -> StepRequest:
    last = requests[-1]
    tensors = []
    for position, (name, content) in enumerate(last.tensors):
        contents = [each.tensors[position].content for each in requests]
        shape = [sum(each.shape[0] for each in contents), *content.shape[1:]]
        data = [value for each in contents for value in flat(each.data)]
        tensors.append(Tensor(name, Content(content.datatype, shape, data, content.parameters)))
    return StepRequest(last.id, tuple(tensors), last.parameters, last.headers)


def _apart(given: Given, rows: list[int]) -> list[Given]:
    total = sum(rows)
    columns = [_split(tensor, rows, total) for tensor in given.tensors]
    return [
        given._replace(tensors=tuple([column[number] for column in columns]))
        for number in range(len(rows))
    ]


def _split(tensor: Tensor, rows: list[int], total: int) -> list[Tensor]:
    content = tensor.content
    data = flat(content.data)
    if not content.shape or content.shape[0] != total or len(data) % total:
        return [tensor] * len(rows)
    width = math.prod(content.shape[1:])
    parts, begin = [], 0
    for count in rows:
        part = data[begin * width : (begin + count) * width]
        shape = [count, *content.shape[1:]]
        parts.append(
            Tensor(tensor.name, Content(content.datatype, shape, part, content.parameters))
        )
        begin += count
    return parts


def flat(data: Any) -> list[Any]:
    """Give data in row-major order without nesting. Raises `ValueError` if it nests unevenly."""
    values = list(data)
    while values and isinstance(values[0], list):
        if not all(isinstance(row, list) for row in values):
            raise ValueError("lists and values stand side by side")
        values = [value for row in values for value in row]
    return values
