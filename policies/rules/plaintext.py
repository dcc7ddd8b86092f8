"""No secret stands in plain text in any input of any resource."""

import collections.abc

from policies import detection, objects, rule, stacks


def _plaintext(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if resource.type.startswith("kubernetes:") and resource.kind == "Secret":
        yield from _of_secret(resource)
        yield from detection.search(
            {key: resource.inputs[key] for key in ("metadata", "type") if key in resource.inputs}
        )
        return
    yield from detection.search(resource.inputs)


def _of_secret(resource: objects.Resource) -> objects.Faults:
    """Whatever a Secret of Kubernetes holds is one of Pulumi's, too."""
    for key in ("data", "stringData"):
        values = objects.at(resource.inputs, key)
        if isinstance(values, collections.abc.Mapping):
            for name, value in values.items():
                if value not in {objects.HIDDEN, "", None}:
                    yield objects.Fault(f"{key}.{name}", "it is no secret to Pulumi")


RULES = (
    rule.Rule(
        "plaintext-secret",
        "No input holds a secret in plain text: environment, ConfigMap, custom resource, chart's values.",
        "Inputs are written to the state, shown in previews and in pull requests' comments.",
        "make it a secret (`pulumi config set --secret`, `pulumi.Output.secret`), keep it in a Secret of "
        "Kubernetes, and mount that as a file; replace the value that was shown",
        one=_plaintext,
    ),
)
