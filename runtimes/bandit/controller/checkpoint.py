"""A policy's state in Valkey, so that a restart need not read the topics again.

It is a copy: what is true is in the topics, and without it they are read from the log's beginning.
Segments of decisions are written once; what changes about them, and all else, is written together.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import redis
import redis.backoff
import redis.retry

from runtimes.bandit import declaration
from runtimes.contract import credentials, linear_choice

from . import learning
from .parts import AwayError, FencedError
from .state import State
from .table import Segment, Table

logger = logging.getLogger(__name__)

FORMAT = 1
_SECONDS = 2.0

_Bytes = bytes | bytearray | memoryview | str | int | float
"""What Valkey's client takes as a field or a value."""

_RELEASE = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""

_TAKE = """
local holder = redis.call('get', KEYS[1])
if holder == false or holder == ARGV[1] then
  redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
  return ARGV[1]
end
return holder
"""

_WRITE_CHOICE = """
local holder = redis.call('get', KEYS[1])
if holder ~= false and holder ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('hdel', KEYS[2], ARGV[2])
else redis.call('hset', KEYS[2], ARGV[2], ARGV[3]) end
return 1
"""


class Store:
    """Valkey, as one policy uses it; keys begin with `bellwether:bandit:<namespace>:<policy>`."""

    def __init__(self, address: str, namespace: str, policy: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = address
        self._prefix = f"bellwether:bandit:{namespace}:{policy}"
        self._valkey = redis.Redis(
            host=host,
            port=int(port),
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            **credentials.valkey(),
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        self._stored: set[str] = set()

    def close(self) -> None:
        """Give the connection back."""
        self._valkey.close()

    def take_lease(self, holder: str, seconds: float) -> str:
        """Become or stay the one who leads the policy for so long; give who does."""
        arguments = (f"{self._prefix}:lease", holder, round(seconds * 1000))
        found = self._asked(lambda: self._valkey.eval(_TAKE, 1, *arguments))
        return bytes(found).decode()

    def release_lease(self, holder: str) -> None:
        """Let another one lead at once."""
        self._asked(lambda: self._valkey.eval(_RELEASE, 1, f"{self._prefix}:lease", holder))

    def write_choice(self, holder: str, record: linear_choice.Record) -> None:
        """Give a router its policy's state, unless another one than `holder` leads.

        Raises:
            FencedError: another one leads.

        """
        self._choice(holder, record.experiment, record.encode())

    def withdraw_choice(self, holder: str, experiment: str) -> None:
        """Take a router's state back; raises as `write_choice`."""
        self._choice(holder, experiment, b"")

    def _choice(self, holder: str, experiment: str, value: bytes) -> None:
        arguments = (f"{self._prefix}:lease", linear_choice.KEY, holder, experiment, value)
        if not self._asked(lambda: self._valkey.eval(_WRITE_CHOICE, 2, *arguments)):
            raise FencedError("another one has the lease")

    def save(self, state: State, log_offset: int) -> None:
        """Write a state; `log_offset` is where the log has its epoch."""
        fields: dict[_Bytes, _Bytes] = {}
        tables, names = {}, set()
        for title, table in (("open", state.join.open), ("waiting", state.join.waiting)):
            listed = []
            for segment in table.segments:
                name = self._written(segment)
                names.add(name)
                listed.append({"name": name, "rows": len(segment)})
                fields[f"used:{name}"] = np.packbits(segment.columns["used"]).tobytes()
            tables[title] = {"horizon": table.horizon, "segments": listed}
        head = {
            "format": FORMAT,
            "epoch": state.epoch,
            "log_offset": log_offset,
            "spec": state.spec.model_dump(mode="json", by_alias=True),
            "arms": state.arms,
            "positions": state.positions,
            "policy": state.policy.snapshot(),
            "watermark": state.join.watermark,
            "decision_counts": state.join.decision_counts,
            "reward_counts": state.join.reward_counts,
            "rewards_by_arm": state.rewards_by_arm.tolist(),
            "decisions_by_arm": state.decisions_by_arm.tolist(),
            "tables": tables,
            "digest": state.digest(),
        }
        fields["head"] = json.dumps(head).encode()
        old = self._stored - names
        with self._valkey.pipeline(transaction=True) as together:
            together.delete(f"{self._prefix}:state")
            together.hset(f"{self._prefix}:state", mapping=fields)
            for name in old:
                together.delete(self._rows(name))
            self._asked(together.execute)
        self._stored = names

    def load(self, max_decisions: int) -> tuple[State, int] | None:
        """Read the state that was saved last, and its place in the log; None if there is none."""
        self._stored = set()
        found = self._asked(lambda: self._valkey.hgetall(f"{self._prefix}:state"))
        loaded = self._loaded(found, max_decisions) if found else None
        self._sweep()
        return loaded

    def _loaded(self, found: Mapping[bytes, bytes], max_decisions: int) -> tuple[State, int] | None:
        head = json.loads(found[b"head"])
        if head["format"] != FORMAT:
            logger.warning("the checkpoint has format %s: the topics are read", head["format"])
            return None
        spec = declaration.parse_spec(head["spec"])
        state = State(spec, head["arms"], head["positions"], max_decisions)
        state.epoch = head["epoch"]
        state.policy = learning.restore(spec, state.arms, head["policy"])
        join = state.join
        join.watermark = head["watermark"]
        join.decision_counts = head["decision_counts"]
        join.reward_counts = head["reward_counts"]
        state.rewards_by_arm = np.array(head["rewards_by_arm"], dtype=np.int64)
        state.decisions_by_arm = np.array(head["decisions_by_arm"], dtype=np.int64)
        for title, table in (("open", join.open), ("waiting", join.waiting)):
            if not self._read(table, head["tables"][title], found):
                logger.warning("the checkpoint lacks a segment: the topics are read")
                self._stored = set()
                return None
        if state.digest() != head["digest"]:
            logger.warning("the checkpoint is not the state that was saved: the topics are read")
            self._stored = set()
            return None
        return state, head["log_offset"]

    def _sweep(self) -> None:
        """Delete segments of a checkpoint that was never finished, or that is of no use."""

        def sweep() -> None:
            known = {self._rows(name).encode() for name in self._stored}
            for key in self._valkey.scan_iter(match=self._rows("*"), count=1000):
                if key not in known:
                    self._valkey.delete(key)

        self._asked(sweep)

    def _read(self, table: Table, told: Mapping[str, Any], found: Mapping[bytes, bytes]) -> bool:
        table.horizon = told["horizon"]
        for each in told["segments"]:
            name, rows = each["name"], each["rows"]
            content = self._asked(lambda name=name: self._valkey.hgetall(self._rows(name)))
            if not content:
                return False
            columns: dict[str, Any] = {}
            for key, raw in content.items():
                title, _, dtype = key.decode().partition(":")
                read = np.frombuffer(raw, dtype=dtype).copy()
                columns[title] = read.reshape(rows, -1) if title == "context" else read
            bits = np.frombuffer(found[f"used:{name}".encode()], dtype=np.uint8)
            columns["used"] = np.unpackbits(bits, count=rows).astype(np.bool_)
            segment = Segment(columns)
            segment.stored = name
            self._stored.add(name)
            table.segments.append(segment)
        return True

    def _written(self, segment: Segment) -> str:
        if segment.stored in self._stored:
            return segment.stored
        name = uuid.uuid4().hex
        content: dict[_Bytes, _Bytes] = {
            f"{title}:{column.dtype.str}": column.tobytes()
            for title, column in segment.columns.items()
            if title != "used"
        }
        self._asked(lambda: self._valkey.hset(self._rows(name), mapping=content))
        segment.stored = name
        self._stored.add(name)
        return name

    def _rows(self, name: str) -> str:
        return f"{self._prefix}:rows:{name}"

    def _asked(self, ask: Any) -> Any:
        try:
            return ask()
        except (redis.RedisError, OSError) as error:
            raise AwayError("valkey", f"{self._address} does not answer ({error})") from error
