from collections.abc import Iterator
from typing import Any

from runtimes.bandit import crd, declaration

_FORBIDDEN = {"$ref", "$defs", "additionalProperties", "const", "oneOf", "anyOf", "definitions"}


def _nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, each in (node.get("properties") or {}).items():
        yield from _nodes(each, f"{path}.{name}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")


def test_the_schema_is_structural_down_to_its_leaves():
    (version,) = crd.manifest()["spec"]["versions"]
    nodes = dict(_nodes(version["schema"]["openAPIV3Schema"]))
    for path, node in nodes.items():
        assert not _FORBIDDEN & node.keys(), path
        assert isinstance(node.get("type"), str), path
        for bound in ("exclusiveMinimum", "exclusiveMaximum"):
            assert isinstance(node.get(bound, True), bool), path
    assert nodes[".spec.guardrails.maxErrorRate"]["maximum"] == 1
    rule = {
        "rule": "!has(self.factor) || self.name in ['discount']",
        "message": "factor belongs to discount",
    }
    assert rule in nodes[".spec.forgetting"]["x-kubernetes-validations"]
    assert nodes[".status"]["x-kubernetes-preserve-unknown-fields"]


def test_the_status_is_a_subresource_and_the_columns_show_what_a_policy_does():
    definition = crd.manifest()
    (version,) = definition["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    assert definition["metadata"]["name"] == "banditpolicies.bandits.bellwether.dev"
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    fields = {each["name"]: each["jsonPath"] for each in version["additionalPrinterColumns"]}
    assert fields["Mode"] == ".spec.mode"
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    aliases = {each.alias for each in declaration.BanditPolicySpec.model_fields.values()}
    assert spec.keys() == aliases
