"""A real MLServer with an arm and the reward model, and the real Kafka that they write to."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator

import confluent_kafka
import confluent_kafka.admin

from runtimes.contract import bandits
from runtimes.predictor import artifact
from tests.conformance.environment import eventually
from tests.unit.infra.local.dataflow.broker_process import Broker, Reader
from tests.unit.runtimes.router import steps_process

EXPERIMENT = "financial-mab-experiment"
DAYS = 20
ARM = "linear-predictor_3"
QUIET_ARM = "quiet-predictor_1"
REWARD = "reward_1"
DELIVERY_SECONDS = 2
MAX_REWARDS = 5000


def write_linear(folder: pathlib.Path) -> None:
    """Volatility is exp(-2), whatever comes: one feature, 20 days of one channel."""
    folder.mkdir(parents=True)
    weights = {
        "log_volatility": {"intercept": -2.0, "coefficients": {}},
        "log_odds": {"intercept": 0.0, "coefficients": {}},
    }
    (folder / "linear.json").write_text(json.dumps(weights))
    digest = hashlib.sha256((folder / "linear.json").read_bytes()).hexdigest()
    rule = artifact.IntervalRule(
        level=0.9, lower=-1.0, upper=1.0, feature="rv_5", intercept=0.5, slope=0.0, minimum=0.1
    )
    manifest = artifact.Manifest(
        model="linear",
        kind="linear",
        features=(artifact.Feature("rv_5", "log", "rv_5"),),
        history_length=DAYS,
        history_channels=(artifact.Feature("return", "log", "return"),),
        horizon_days=5,
        interval=rule,
        files={"linear.json": digest},
        parameters={},
    )
    (folder / artifact.MANIFEST).write_text(json.dumps(manifest.document()))


def make_topics(address: str) -> None:
    """Wait for the broker, and make the bandit's topics."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": address, "log_level": 0})

    def listens() -> bool:
        with contextlib.suppress(confluent_kafka.KafkaException):
            admin.list_topics(timeout=1)
            return True
        return False

    eventually(listens, "the broker listens", 60)
    names = (bandits.DECISIONS, bandits.REWARDS, bandits.ALLOCATIONS)
    made = admin.create_topics([confluent_kafka.admin.NewTopic(each, 1, 1) for each in names])
    for each in made.values():
        each.result()


@dataclasses.dataclass(frozen=True)
class Servers:
    models: steps_process.Server
    grpc: str
    broker: Broker

    def reader(self, topic: str) -> Reader:
        return Reader(self.broker.address, [topic])


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Servers]:
    kafka, repository = folder / "kafka", folder / "repository"
    kafka.mkdir()
    write_linear(folder / "artifact")
    broker = Broker(kafka)
    broker.start()
    try:
        predictor = "runtimes.predictor.runtime.Predictor"
        for name, extra in [(ARM, {"kafka": broker.address}), (QUIET_ARM, {})]:
            steps_process.write_settings(repository, name, predictor, folder / "artifact", extra)
        extra = {
            "kafka": broker.address,
            "delivery_seconds": str(DELIVERY_SECONDS),
            "max_rewards": str(MAX_REWARDS),
        }
        steps_process.write_settings(
            repository, REWARD, "runtimes.bandit.reward.RewardModel", None, extra
        )
        with steps_process.running(repository) as models:
            make_topics(broker.address)
            ports = json.loads((repository / "settings.json").read_text())
            yield Servers(models, f"127.0.0.1:{ports['grpc_port']}", broker)
    finally:
        broker.kill()
