import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from infra import seldon

CRDS = Path(__file__).resolve().parents[4] / "shared" / "crds" / "seldon"

MODEL = {
    "apiVersion": "mlops.seldon.io/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "mul10", "labels": {"team": "desk"}},
    "spec": {
        "storageUri": "file:///models/mul10",
        "requirements": ["mlserver"],
        "parameters": [{"name": "factor", "value": "10"}],
        "memory": "100Mi",
        "minReplicas": 1,
    },
}
EXPERIMENT: dict[str, Any] = {
    "apiVersion": "mlops.seldon.io/v1alpha1",
    "kind": "Experiment",
    "metadata": {"name": "e1"},
    "spec": {
        "default": "a",
        "candidates": [{"name": "a", "weight": 40}, {"name": "b", "weight": 60}],
        "mirror": {"name": "c", "percent": 10},
        "resourceType": "model",
    },
}
SERVER = {
    "apiVersion": "mlops.seldon.io/v1alpha1",
    "kind": "Server",
    "metadata": {"name": "mlserver"},
    "spec": {
        "serverConfig": "mlserver",
        "extraCapabilities": ["lightgbm"],
        "podSpec": {"containers": [{"name": "mlserver", "image": "x"}]},
    },
}


def _schema(plural: str) -> dict[str, Any]:
    path = CRDS / f"mlops.seldon.io_{plural}.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there: the definitions are not part of this repository")
    (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def _part(annotation: Any) -> type[seldon.Part] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, seldon.Part) else None
    return next((part for each in get_args(annotation) if (part := _part(each))), None)


def _differences(part: type[seldon.Part], schema: dict[str, Any], path: str) -> Iterator[str]:
    schema = schema.get("items", schema)
    fields = {str(field.alias): field for field in part.model_fields.values()}
    for name in schema["properties"].keys() ^ fields.keys():
        yield f"{path}.{name}"
    required = {name for name, field in fields.items() if field.is_required()}
    for name in required ^ set(schema.get("required", ())):
        yield f"{path}.{name}: required here or there only"
    for name, field in fields.items():
        inner = _part(field.annotation)
        if inner is not None:
            yield from _differences(inner, schema["properties"][name], f"{path}.{name}")


@pytest.mark.parametrize("kind", seldon.KINDS.values(), ids=seldon.KINDS)
def test_the_fields_are_those_of_the_custom_resource_definition(
    kind: type[seldon.Model | seldon.Experiment | seldon.Server],
) -> None:
    spec = typing.get_type_hints(kind)["spec"]
    assert list(_differences(spec, _schema(kind.plural), "spec")) == []


@pytest.mark.parametrize("manifest", [MODEL, EXPERIMENT, SERVER], ids=lambda each: each["kind"])
def test_a_manifest_is_written_as_it_was_read(manifest: dict[str, Any]) -> None:
    assert seldon.manifest(seldon.parse(manifest)) == manifest


def test_inside_names_are_snake_case() -> None:
    model = seldon.parse(MODEL)
    assert isinstance(model, seldon.Model)
    assert model.spec.storage_uri == "file:///models/mul10"
    assert model.spec.min_replicas == 1
    assert model == seldon.Model(
        metadata=seldon.ObjectMeta(name="mul10", labels={"team": "desk"}),
        spec=seldon.ModelSpec(
            storage_uri="file:///models/mul10",
            requirements=("mlserver",),
            parameters=(seldon.Parameter(name="factor", value="10"),),
            memory="100Mi",
            min_replicas=1,
        ),
    )


def _problems(manifest: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(seldon.ManifestError) as refused:
        seldon.parse(manifest)
    return [(each.kind, each.path, each.message) for each in refused.value.problems]


def test_a_snake_case_name_is_refused_at_the_edge_with_the_right_one() -> None:
    spec = {"storage_uri": "/x", "storageUri": "/x"}
    assert _problems({**MODEL, "spec": spec}) == [
        (
            "unknown",
            "spec.storage_uri",
            'unknown field "spec.storage_uri", did you mean "spec.storageUri"?',
        )
    ]


def test_an_unknown_field_in_a_list_is_named_with_its_place() -> None:
    candidates = [{"name": "a", "weight": 1}, {"name": "b", "weight": 1, "wheight": 2}]
    spec = {**EXPERIMENT["spec"], "candidates": candidates}
    ((kind, path, message),) = _problems({**EXPERIMENT, "spec": spec})
    assert (kind, path) == ("unknown", "spec.candidates[1].wheight")
    assert 'did you mean "spec.candidates[1].weight"?' in message


def test_an_unknown_field_like_no_other_lists_what_there_is() -> None:
    ((_, _, message),) = _problems({**EXPERIMENT, "spec": {**EXPERIMENT["spec"], "zzz": 1}})
    assert message == (
        'unknown field "spec.zzz", known are: candidates, default, mirror, resourceType'
    )


def test_everything_that_is_wrong_is_told_at_once() -> None:
    spec = {"candidates": [{"name": 7, "weight": 1.5}], "mirror": {"name": "m"}}
    found = _problems({**EXPERIMENT, "spec": spec})
    assert {(kind, path) for kind, path, _ in found} == {
        ("invalid", "spec.candidates[0].name"),
        ("invalid", "spec.candidates[0].weight"),
        ("required", "spec.mirror.percent"),
    }


@pytest.mark.parametrize("weight", [-1, 1.0, "1", True, None, 2**31])
def test_a_weight_is_a_whole_number_that_an_int32_holds(weight: object) -> None:
    spec = {"candidates": [{"name": "a", "weight": weight}]}
    ((_, path, _),) = _problems({**EXPERIMENT, "spec": spec})
    assert path == "spec.candidates[0].weight"


@pytest.mark.parametrize("memory", [100_000, "100000", "1.5Gi", "1e9", "500m"])
def test_memory_is_a_quantity(memory: object) -> None:
    spec = {"storageUri": "/x", "memory": memory}
    assert seldon.manifest(seldon.parse({**MODEL, "spec": spec}))["spec"]["memory"] == memory


@pytest.mark.parametrize("memory", ["100 MB", "", "Mi", [1]])
def test_what_is_no_quantity_is_refused(memory: object) -> None:
    found = _problems({**MODEL, "spec": {"storageUri": "/x", "memory": memory}})
    assert all(path.startswith("spec.memory") for _, path, _ in found)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    ((_, path, message),) = _problems({**MODEL, "kind": "Experimnt"})
    assert path == "kind"
    assert "did you mean 'Experiment'?" in message


def test_a_long_value_is_shown_only_as_far_as_it_helps() -> None:
    ((_, _, message),) = _problems({**MODEL, "spec": {"storageUri": ["x" * 10_000]}})
    assert len(message) < 250
