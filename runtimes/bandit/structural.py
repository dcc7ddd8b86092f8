"""A part's JSON schema as Kubernetes takes it: structural, without references.

Kubernetes knows neither `$ref` nor `const`, takes `exclusiveMinimum` as a flag (OpenAPI 3.0),
and wants every property of a union's members beside each other.
What belongs to which member is a rule in Kubernetes' expression language (CEL) then.
Defaults are filled in when the manifest is parsed.
"""

from typing import Any

import pydantic

_KEPT = ("type", "description", "enum", "pattern", "minimum", "maximum", "format")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")


def schema(part: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Write the structural schema of a part."""
    whole = part.model_json_schema(by_alias=True, mode="validation")
    return _structural(whole, whole.get("$defs", {}))


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        found = definitions[node["$ref"].rpartition("/")[2]]
        return _structural({**found, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if "oneOf" in node:
        made = _union([_structural(member, definitions) for member in node["oneOf"]])
        return {**made, **_description(node)}
    if "anyOf" in node:
        return _optional(node, definitions)
    made = {key: node[key] for key in (*_KEPT, *_COUNTS) if key in node}
    if "const" in node:
        made["enum"] = [node["const"]]
    for bound in ("Minimum", "Maximum"):
        if f"exclusive{bound}" in node:
            made[bound.lower()] = node[f"exclusive{bound}"]
            made[f"exclusive{bound}"] = True
    if "items" in node:
        made["items"] = _structural(node["items"], definitions)
    if "properties" in node:
        made["properties"] = {
            name: _structural(each, definitions) for name, each in node["properties"].items()
        }
    if "required" in node:
        made["required"] = node["required"]
    return made


def _optional(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    (given,) = (member for member in node["anyOf"] if member.get("type") != "null")
    return {**_structural(given, definitions), "nullable": True, **_description(node)}


def _description(node: dict[str, Any]) -> dict[str, Any]:
    return {"description": node["description"]} if "description" in node else {}


def _union(members: list[dict[str, Any]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for member in members:
        for name, each in member["properties"].items():
            if name == "name":
                tags = properties.get("name", {"type": "string", "enum": []})
                properties["name"] = {**tags, "enum": [*tags["enum"], *each["enum"]]}
            elif name not in properties:
                properties[name] = each
    made = {"type": "object", "required": ["name"], "properties": properties}
    rules = [rule for name in properties if (rule := _belongs(name, members)) is not None]
    return {**made, **({"x-kubernetes-validations": rules} if rules else {})}


def _belongs(name: str, members: list[dict[str, Any]]) -> dict[str, str] | None:
    """Write which members of a union have a property, unless all do."""
    having = [
        each["properties"]["name"]["enum"][0] for each in members if name in each["properties"]
    ]
    if len(having) == len(members):
        return None
    return {
        "rule": f"!has(self.{name}) || self.name in {having}",
        "message": f"{name} belongs to {', '.join(having)}",
    }
