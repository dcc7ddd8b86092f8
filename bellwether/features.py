"""The feature store from the command line, and for the demos: training sets, bars, online rows."""

import collections.abc
import datetime as dt
import json
import pathlib
import subprocess
import typing

import confluent_kafka
import httpx
import pydantic

from bellwether import environment
from bellwether import training as training_states
from infra import paths
from infra.catalogue import models
from infra.local import toolchain
from runtimes import contract

MARKET_DATA = "market-data"
NEWS = "news"


class FeatureStoreError(Exception):
    """The feature store could not do what was asked; the message says why and what to do."""


class TrainingSet(pydantic.BaseModel):
    """What was written."""

    file: pathlib.Path
    rows: int
    complete: int
    """Rows in which every feature is known."""
    symbols: list[str]
    features: list[str]


class Enriched(pydantic.BaseModel):
    """What the enrichment step says of a symbol."""

    symbol: str
    date: str
    """Day of the newest bar, empty if there is none."""
    features: dict[str, float | None]
    """What models are trained on, by name; None: missing."""
    history: list[list[float | None]]
    """[T, C], oldest day first."""
    quality_score: float
    quality: dict[str, typing.Any]


def artifact(stack: environment.Stack) -> pathlib.Path:
    """Give the artifact of the enrichment step.

    Raises:
        FeatureStoreError: it is not built yet.

    """
    wanted = stack.settings()
    folder = training_states.states(wanted.data, wanted.seed)[models.ENRICHMENT.artifact]
    if folder is None:
        raise FeatureStoreError(
            "the feature store's files are not computed, or code or data is newer: "
            "`uv run bellwether train` computes them"
        )
    return folder


def training_set(  # noqa: PLR0913  each is an option of the command
    stack: environment.Stack,
    out: pathlib.Path,
    *,
    symbols: str = "",
    first: str | None = None,
    last: str | None = None,
    service: str = "forecasting",
) -> TrainingSet:
    """Write a training set by point-in-time joins; `first` and `last` are ISO dates.

    Raises:
        FeatureStoreError: with the reason.

    """
    command = [str(toolchain.python_of("serving")), "-m", "runtimes.features.training_set"]
    command += ["--artifact", str(artifact(stack))]
    # A registry of its own: that of the running environment is the stream's to apply.
    command += ["--registry", str(stack.home / "features" / "training" / "registry.db")]
    command += ["--out", str(out.absolute()), "--symbols", symbols, "--service", service]
    command += ["--from", first] if first else []
    command += ["--to", last] if last else []
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise FeatureStoreError(said[-1].removeprefix("error: "))
    return TrainingSet.model_validate_json(done.stdout.splitlines()[-1])


def online(stack: environment.Stack, symbol: str, **base: float) -> Enriched:
    """Ask the enrichment step, as the pipeline does, for a symbol; `base` features stand for the store's.

    Raises:
        FeatureStoreError: it does not answer, or refuses; the message says why.

    """
    inputs = [{"name": contract.SYMBOL, "shape": [1], "datatype": "BYTES", "data": [symbol]}]
    inputs += [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in base.items()
    ]
    gateway = f"http://127.0.0.1:{stack.settings().ports.gateway}"
    url = f"{gateway}/v2/models/{models.ENRICHMENT.name}"
    try:
        answer = httpx.post(f"{url}/infer", json={"inputs": inputs}, timeout=10)
    except httpx.TransportError as error:
        raise FeatureStoreError(
            f"{gateway} does not answer ({error}): `make up` brings the environment up"
        ) from error
    document = answer.json()
    if answer.is_error:
        raise FeatureStoreError(f"{symbol}: {document.get('error', answer.text)}")
    outputs = {output["name"]: output for output in document["outputs"]}
    features, history = outputs[contract.FEATURES], outputs[contract.HISTORY]
    width = history["shape"][2]
    return Enriched(
        symbol=outputs[contract.SYMBOL]["data"][0],
        date=outputs[contract.DATE]["data"][0],
        features=dict(zip(_names(stack), features["data"], strict=True)),
        history=[
            history["data"][place : place + width]
            for place in range(0, len(history["data"]), width)
        ],
        quality_score=outputs[contract.QUALITY_SCORE]["data"][0],
        quality=json.loads(outputs[contract.QUALITY]["data"][0]),
    )


class Producer:
    """Sends records to the feature stream; use it as a context: at its end, Kafka has them all."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._failed: list[str] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 1,
                # In order; what is sent twice counts once. An idempotent producer would take
                # half a second for its first record.
                "max.in.flight.requests.per.connection": 1,
                "message.timeout.ms": 10_000,
                "log_level": 0,
            }
        )

    @classmethod
    def of(cls, stack: environment.Stack) -> typing.Self:
        """Give a producer for a stack's Kafka.

        Raises:
            FeatureStoreError: Kafka is away, or the topics are.

        """
        producer = cls(f"127.0.0.1:{stack.settings().ports.kafka}")
        producer.check()
        return producer

    def check(self, seconds: float = 3.0) -> None:
        """Raise FeatureStoreError if Kafka does not answer, or has no topic for bars and texts."""
        try:
            topics = self._producer.list_topics(timeout=seconds).topics
        except confluent_kafka.KafkaException as error:
            raise FeatureStoreError(
                f"Kafka at {self._bootstrap} does not answer: `make up` brings it up, "
                "`uv run bellwether status` says what is wrong"
            ) from error
        if missing := {MARKET_DATA, NEWS} - set(topics):
            raise FeatureStoreError(
                f"Kafka at {self._bootstrap} has no topic {' and '.join(sorted(missing))}: "
                "`make up` makes them"
            )

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.flush()

    def bar(  # noqa: PLR0913  a bar has this many sides
        self,
        symbol: str,
        day: dt.date,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float = 0.0,
    ) -> None:
        """Send a bar."""
        self.send(
            MARKET_DATA,
            {
                "symbol": symbol,
                "date": day.isoformat(),
                "open": open_,
                "high": high,
                "low": low,
                "close": close,
                "volume": volume,
            },
            symbol,
        )

    def text(self, kind: str, symbol: str, moment: dt.datetime, text: str) -> None:
        """Send a made-up headline or post: it is marked as synthetic."""
        self.send(
            NEWS,
            {
                "kind": kind,
                "symbol": symbol,
                "time": moment.isoformat(),
                "text": text,
                "synthetic": True,
            },
            symbol,
        )

    def send(
        self,
        topic: str,
        document: collections.abc.Mapping[str, typing.Any],
        key: str | None = None,
    ) -> None:
        """Send a record.

        Raises:
            FeatureStoreError: Kafka did not take an earlier one, or takes nothing.

        """
        value = json.dumps(document).encode()
        for _ in range(100):
            try:
                self._producer.produce(topic, value, key, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.1)  # room is made as Kafka takes what is waiting
            else:
                break
        else:
            self._failed.append(f"the queue to {topic} stays full")
        self._producer.poll(0)
        self._raise()

    def flush(self, seconds: float = 15.0) -> None:
        """Wait until Kafka has everything; raise FeatureStoreError if it does not take it."""
        left = self._producer.flush(seconds)
        if left and not self._failed:
            self._failed.append(f"{left} records are not taken within {seconds:.0f} s")
        self._raise()

    def _delivered(self, error: confluent_kafka.KafkaError | None, message: object) -> None:
        del message
        if error is not None:
            self._failed.append(error.str())

    def _raise(self) -> None:
        if self._failed:
            reason = self._failed[0]
            self._failed.clear()
            raise FeatureStoreError(
                f"Kafka at {self._bootstrap} takes no records ({reason}): "
                "`uv run bellwether status` says what is wrong"
            )


def _names(stack: environment.Stack) -> list[str]:
    """Give the names of a predictor's features, in order."""
    from runtimes.features import artifact as artifacts  # noqa: PLC0415  only where it is asked for

    return [feature.name for feature in artifacts.declared(artifact(stack)).model_features]
