import pathlib

from infra import paths
from infra.catalogue import experiments, models, servers, topics

CATALOGUE = pathlib.Path(models.__file__).parent


def test_the_catalogue_imports_nothing_of_pulumi():
    for file in CATALOGUE.glob("*.py"):
        assert "pulumi" not in file.read_text(), f"{file.name} has to stay pure data"


def test_every_name_is_given_once():
    names = [m.name for m in models.MODELS] + [e.metadata.name for e in experiments.EXPERIMENTS]
    assert len(names) == len(set(names))
    assert len({t.name for t in topics.TOPICS}) == len(topics.TOPICS)


def test_every_served_model_is_trained_by_a_folder_of_its_own():
    for model in models.MODELS:
        assert (paths.ROOT / "models" / model.artifact / "__init__.py").exists(), model


def test_every_model_finds_a_server_that_can_run_it():
    capabilities = {c for s in servers.SERVERS for c in s.spec.extra_capabilities or ()}
    for model in models.MODELS:
        assert set(model.requirements) <= capabilities, model


def test_the_arms_start_at_forty_thirty_twenty_ten_and_are_served():
    weights = {c.name: c.weight for c in experiments.FINANCIAL_MAB.spec.candidates}
    assert list(weights.values()) == [40, 30, 20, 10]
    assert set(weights) <= {m.name for m in models.MODELS}
