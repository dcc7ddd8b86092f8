"""What an arm inside a real MLServer tells a real Kafka, by the headers that Envoy hands on."""

import json
import math
import time
import uuid
from typing import Any

import bandit_servers
import pytest
from bandit_servers import ARM, EXPERIMENT, QUIET_ARM

from runtimes.contract import bandits
from tests.conformance.environment import eventually
from tests.conformance.open_inference import Client, message
from tests.unit.runtimes.router import steps_process

RETURNS = [0.01, -0.02] * 10
SPLIT = {"seldon-model": f"{EXPERIMENT}.experiment", "seldon-internal-model": ARM}


def body(rows: int = 1) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "features", "shape": [rows, 1], "datatype": "FP64", "data": [0.1] * rows},
            {
                "name": "history",
                "shape": [rows, 20, 1],
                "datatype": "FP64",
                "data": RETURNS * rows,
            },
        ]
    }


def ask(
    servers: bandit_servers.Servers, *, rows: int = 1, arm: str = ARM, **headers: str
) -> tuple[int, str]:
    """Ask, and give the status and the request's id."""
    identity = str(uuid.uuid4())
    sent = {
        "x-request-id": identity,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    answer = servers.models.http.post(f"/v2/models/{arm}/infer", json=body(rows), headers=sent)
    return answer.status_code, identity


def published(servers: bandit_servers.Servers, identity: str) -> bandits.Decision:
    """Wait for the decision of that id, the only one."""
    reader = servers.reader(bandits.DECISIONS)
    try:
        record = reader.by_topic(identity, 1)[bandits.DECISIONS]
    finally:
        reader.close()
    return bandits.Decision.decode(record.value())


def counted(servers: bandit_servers.Servers, outcome: str) -> float:
    return servers.models.count(
        "bellwether_decisions_total", model="linear-predictor", version="3", outcome=outcome
    )


def test_an_answer_to_an_experiment_is_a_decision_with_the_market_of_its_history(servers) -> None:
    before = time.time()
    status, identity = ask(servers, **SPLIT)
    assert status == 200
    decision = published(servers, identity)
    assert before <= decision.time <= time.time()
    assert decision.model_dump(exclude={"time"}) == {
        "id": identity,
        "experiment": EXPERIMENT,
        "arm": "linear-predictor",
        "context": {
            "volatility": pytest.approx(math.sqrt(252 * (0.01**2 + 0.02**2) / 2)),
            "trend": pytest.approx(math.expm1(-0.1)),
        },
        "propensity": None,
    }


def test_a_request_of_many_rows_is_one_decision_without_a_context(servers) -> None:
    # 40 rows are forecast in a thread, 3 in the event loop.
    for rows in (3, 40):
        status, identity = ask(servers, rows=rows, **SPLIT)
        assert status == 200
        assert published(servers, identity).context is None


def test_over_grpc_it_is_a_decision_too(servers) -> None:
    identity = str(uuid.uuid4())
    request = message(
        "ModelInferRequest",
        {
            "modelName": ARM,
            "inputs": [
                {
                    "name": each["name"],
                    "datatype": "FP64",
                    "shape": each["shape"],
                    "contents": {"fp64Contents": each["data"]},
                }
                for each in body()["inputs"]
            ],
        },
    )
    metadata = (("seldon-model", SPLIT["seldon-model"]), ("x-request-id", identity))
    with Client(servers.grpc) as client:
        answer = client.answer(request, metadata)
    assert answer.code == "OK", answer.message
    assert published(servers, identity).arm == "linear-predictor"


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({"host": "127.0.0.1-shadow:9000"}, "mirrored"),
        ({"x_seldon_route": ":linear-predictor_3:"}, "pinned"),
        ({"x_request_id": ""}, "without_id"),
        ({"x_request_id": "x" * 300}, "invalid"),
    ],
)
def test_what_no_split_has_chosen_or_nobody_can_name_is_counted_and_no_decision(
    servers, headers, outcome
) -> None:
    before = counted(servers, outcome)
    status, identity = ask(servers, **SPLIT, **headers)
    assert status == 200
    assert counted(servers, outcome) == before + 1
    # What is published later comes later: the one before would be there.
    _, after = ask(servers, **SPLIT)
    reader = servers.reader(bandits.DECISIONS)
    reader.by_topic(after, 1)
    assert identity.encode() not in {each.key() for each in reader.records}
    reader.close()


def test_a_model_that_is_asked_by_its_own_name_decides_nothing(servers) -> None:
    status, identity = ask(servers, seldon_model="linear-predictor")
    assert status == 200
    _, after = ask(servers, **SPLIT)
    reader = servers.reader(bandits.DECISIONS)
    reader.by_topic(after, 1)
    assert identity.encode() not in {each.key() for each in reader.records}
    reader.close()


def test_a_refused_request_is_no_decision(servers) -> None:
    before = counted(servers, "published")
    wrong = {"inputs": body()["inputs"][:1]}
    answer = servers.models.http.post(
        f"/v2/models/{ARM}/infer", json=wrong, headers={**SPLIT, "x-request-id": "refused"}
    )
    assert answer.status_code == 400
    assert counted(servers, "published") == before


def test_an_arm_that_knows_no_kafka_answers_all_the_same(servers) -> None:
    status, _ = ask(servers, arm=QUIET_ARM, **SPLIT)
    assert status == 200


def test_an_address_that_is_none_is_refused(servers) -> None:
    answer = servers.models.load(
        "lost-predictor_1",
        "runtimes.predictor.runtime.Predictor",
        servers.models.repository.parent / "artifact",
        kafka="nowhere",
    )
    assert answer.status_code == 422
    assert "kafka: String should match pattern" in answer.json()["error"]


def test_a_decision_costs_no_caller_a_wait_while_kafka_is_away(tmp_path) -> None:
    """Ask an arm whose broker never was there."""
    folder, repository = tmp_path / "artifact", tmp_path / "repository"
    bandit_servers.write_linear(folder)
    (port,) = steps_process.free_ports(1)
    steps_process.write_settings(
        repository,
        ARM,
        "runtimes.predictor.runtime.Predictor",
        folder,
        {"kafka": f"127.0.0.1:{port}"},
    )
    with steps_process.running(repository) as models:
        taken = []
        for number in range(50):
            began = time.perf_counter()
            answer = models.http.post(
                f"/v2/models/{ARM}/infer",
                json=body(),
                headers={**SPLIT, "x-request-id": f"r-{number}"},
            )
            taken.append(time.perf_counter() - began)
            assert answer.status_code == 200

        def all_counted() -> bool:
            found = models.count(
                "bellwether_decisions_total",
                model="linear-predictor",
                version="3",
                outcome="published",
            )
            return found == 50

        eventually(all_counted, "decisions are counted")
        assert max(taken) < 1, json.dumps(taken)
