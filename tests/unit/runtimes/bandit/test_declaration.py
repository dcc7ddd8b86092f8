import datetime as dt

import pytest

from runtimes.bandit import declaration, notation


def manifest(**spec):
    return {
        "apiVersion": declaration.API_VERSION,
        "kind": "BanditPolicy",
        "metadata": {"name": "financial-mab"},
        "spec": {"experiment": "financial-mab-experiment", **spec},
    }


def refused(**spec):
    with pytest.raises(notation.ManifestError) as error:
        declaration.parse(manifest(**spec))
    (problem,) = error.value.problems
    return problem


def test_a_policy_survives_being_written_and_read():
    given = manifest(
        algorithm={"name": "thompson", "power": 3},
        forgetting={"name": "change-points", "jointHazard": 0.01},
        updateFrequency="1h30m",
        guardrails={"maxErrorRate": 0.05, "maxP99Ms": 200, "minimumRewards": 100},
    )
    policy = declaration.parse(given)
    assert policy.spec.update_frequency == dt.timedelta(minutes=90)
    assert policy.spec.algorithm == declaration.Thompson(power=3)
    assert declaration.parse(declaration.manifest(policy)) == policy


def test_what_a_server_adds_to_metadata_is_kept():
    given = manifest()
    given["metadata"] |= {"uid": "1", "resourceVersion": "7", "managedFields": [{}]}
    policy = declaration.parse(given)
    assert policy.metadata.resource_version == "7"
    assert declaration.manifest(policy)["metadata"] == given["metadata"]


@pytest.mark.parametrize(
    ("spec", "path", "nearest"),
    [
        ({"explorationRat": 0.1}, "spec.explorationRat", "spec.explorationRate"),
        (
            {"algorithm": {"name": "thompson", "powr": 2}},
            "spec.algorithm.powr",
            "spec.algorithm.power",
        ),
        (
            {"guardrails": {"maxErrors": 1}},
            "spec.guardrails.maxErrors",
            "spec.guardrails.maxErrorRate",
        ),
        ({"algorithm": {"name": "tompson"}}, "spec.algorithm.name", "thompson"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_right_one(spec, path, nearest):
    problem = refused(**spec)
    assert problem.path == path
    assert f"did you mean {nearest!r}" in problem.message.replace('"', "'")


@pytest.mark.parametrize(
    ("spec", "path", "why"),
    [
        ({"explorationRate": 1.5}, "spec.explorationRate", "add up to 1.5"),
        ({"explorationRate": -0.1}, "spec.explorationRate", "greater than or equal to 0"),
        ({"updateFrequency": "-5m"}, "spec.updateFrequency", "never negative"),
        ({"updateFrequency": "0s"}, "spec.updateFrequency", "more than 0 s"),
        ({"maxStep": 0}, "spec.maxStep", "greater than 0"),
        ({"algorithm": {}}, "spec.algorithm.name", "Required value"),
        ({"rewardKind": "binary", "prior": {"sd": 1}}, "spec.prior.sd", "no standard deviation"),
        ({"rewardKind": "binary", "prior": {"mean": 1}}, "spec.prior.mean", "0 < mean < 1"),
        ({"prior": {"mean": float("nan")}}, "spec.prior.mean", "finite"),
        (
            {"algorithm": {"name": "linucb", "features": ["vix", "vix"]}},
            "spec.algorithm.features",
            "vix",
        ),
        (
            {
                "algorithm": {"name": "linucb", "features": ["vix"]},
                "forgetting": {"name": "change-points"},
            },
            "spec.forgetting.name",
            "discount",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_and_explained(spec, path, why):
    problem = refused(**spec)
    assert problem.path == path
    assert why in problem.message


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(notation.ManifestError) as error:
        declaration.parse(manifest(seed=-1, mode="on", maxStep=2))
    assert [p.path for p in error.value.problems] == ["spec.maxStep", "spec.mode", "spec.seed"]


def test_an_experiment_without_arms_has_no_floor():
    spec = declaration.parse(manifest()).spec
    assert spec.floor(4) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="no candidates"):
        spec.floor(0)


def _nodes(node):
    yield node
    for inner in (*node.get("properties", {}).values(), *filter(None, [node.get("items")])):
        yield from _nodes(inner)


def test_the_schema_is_structural_and_knows_every_field():
    schema = declaration.json_schema()
    for node in _nodes(schema):
        assert "type" in node
        assert not {"$ref", "oneOf", "anyOf", "const", "default"} & set(node)
    spec = schema["properties"]["spec"]
    fields = declaration.BanditPolicySpec.model_fields.values()
    assert set(spec["properties"]) == {field.alias for field in fields}
    assert spec["properties"]["algorithm"]["properties"]["name"]["enum"] == [
        "epsilon-greedy",
        "ucb1",
        "thompson",
        "linucb",
        "linear-thompson",
    ]
