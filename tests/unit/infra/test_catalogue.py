import datetime as dt
import pathlib

from infra import paths
from infra.catalogue import bandits, experiments, models, pipelines, servers, topics
from models import steps
from runtimes import contract

SERVED = (*models.MODELS, *models.STEPS)
CATALOGUE = pathlib.Path(models.__file__).parent


def test_the_catalogue_imports_nothing_of_pulumi():
    for file in CATALOGUE.glob("*.py"):
        assert "pulumi" not in file.read_text(), f"{file.name} has to stay pure data"


def test_every_name_is_given_once():
    declared = (*experiments.EXPERIMENTS, *pipelines.PIPELINES)
    names = [m.name for m in SERVED] + [each.metadata.name for each in declared]
    assert len(names) == len(set(names))
    assert len({t.name for t in topics.TOPICS}) == len(topics.TOPICS)


def test_every_served_model_is_trained_by_a_folder_of_its_own():
    for model in models.MODELS:
        assert (paths.ROOT / "models" / model.artifact / "__init__.py").exists(), model


def test_every_step_is_built_by_a_folder_of_its_own():
    assert {step.artifact for step in models.STEPS} == set(steps.folders())


def test_every_step_of_a_pipeline_is_served():
    served = {model.name for model in SERVED}
    for pipeline in pipelines.PIPELINES:
        assert {step.name for step in pipeline.spec.steps} <= served, pipeline.metadata.name


def test_a_branch_for_everything_that_the_router_may_emit():
    for pipeline in pipelines.PIPELINES:
        triggers = {t for step in pipeline.spec.steps for t in step.triggers or ()}
        emitted = {f"{models.REGIME_ROUTER.name}.outputs.{branch}" for branch in contract.BRANCHES}
        assert emitted <= triggers, pipeline.metadata.name


def test_every_model_finds_a_server_that_can_run_it():
    capabilities = {c for s in servers.SERVERS for c in s.spec.extra_capabilities or ()}
    for model in SERVED:
        assert set(model.requirements) <= capabilities, model


def test_the_arms_start_at_forty_thirty_twenty_ten_and_are_served():
    weights = {c.name: c.weight for c in experiments.FINANCIAL_MAB.spec.candidates}
    assert list(weights.values()) == [40, 30, 20, 10]
    assert set(weights) <= {m.name for m in models.MODELS}


def test_every_policy_owns_another_experiment_that_exists_and_has_arms():
    arms = {each.metadata.name: each.spec.candidates for each in experiments.EXPERIMENTS}
    owned = [policy.spec.experiment for policy in bandits.POLICIES]
    assert len(set(owned)) == len(owned)
    assert all(arms[name] for name in owned)


def test_the_experiment_learns_business_value_every_five_minutes_and_explores_with_a_tenth():
    spec = bandits.FINANCIAL_MAB.spec
    assert spec.experiment == "financial-mab-experiment"
    assert (spec.reward_metric, spec.reward_kind) == ("business_value", "continuous")
    assert spec.exploration_rate == 0.1
    assert spec.update_frequency == dt.timedelta(minutes=5)
    assert spec.mode == "active"
