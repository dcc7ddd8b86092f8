"""Images and charts: which bytes run is said in the declaration, and they come from where is allowed."""

import re

from policies import objects, pods, rule, stacks

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_EXACT = re.compile(r"v?\d+\.\d+\.\d+([-.+][0-9A-Za-z][-.+0-9A-Za-z]*)?$")
_HOST = re.compile(r"^[^/]*[.:][^/]*/|^localhost/")


def normalised(image: str) -> str:
    """Write an image's name in full, as the container runtime resolves it."""
    if _HOST.match(image):
        return image
    return f"docker.io/{image}" if "/" in image else f"docker.io/library/{image}"


def tag(image: str) -> str:
    """Give an image's tag, empty where there is none."""
    last = image.partition("@")[0].rsplit("/", 1)[-1]
    return last.partition(":")[2]


def _named(resource: objects.Resource) -> list[tuple[str, str]]:
    found = [
        (f"{path}.image", str(container["image"]))
        for pod in pods.of(resource)
        for path, container in pod.containers()
        if container.get("image") is not None
    ]
    image = objects.at(resource.inputs, "spec", "image")
    if resource.is_object and isinstance(image, str):
        found.append(("spec.image", image))
    if resource.is_release:
        found += _values(objects.mapping(resource.inputs, "values"), "values")
    return found


def _values(values: objects.Values, path: str) -> list[tuple[str, str]]:
    """Find images in a chart's values: a text, or `repository` with `tag` or `digest`."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        here = f"{path}.{key}"
        if key.lower().endswith("image") and isinstance(value, str) and value:
            found.append((here, value))
        elif key.lower().endswith("image") and isinstance(value, dict):
            found += _composed(value, here)
        elif isinstance(value, dict):
            found += _values(value, here)
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, dict):
                    found += _values(each, f"{here}[{number}]")
    return found


def _composed(image: objects.Values, path: str) -> list[tuple[str, str]]:
    repository = image.get("repository") or image.get("name")
    registry, digest = image.get("registry"), image.get("digest") or image.get("sha")
    given = str(image.get("tag") or "")
    if repository is None and not given:
        return []
    name = str(repository or "chart/default")
    if registry:
        name = f"{registry}/{name}"
    if digest:
        return [(path, f"{name}@sha256:{str(digest).removeprefix('sha256:')}")]
    # A chart without a tag here runs the one that its own version pins.
    return [(path, f"{name}:{given}")] if given else []


def _pinned(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    own = None if stack.registry is None else f"{stack.registry.rstrip('/')}/"
    for path, image in _named(resource):
        if _DIGEST.search(image):
            continue
        given = tag(image)
        if own is not None and image.startswith(own):
            yield objects.Fault(
                path, f"our own image `{image}` is named by a tag, not by its digest"
            )
        elif given in {"", "latest"}:
            yield objects.Fault(
                path, f"`{image}` has {'no tag' if not given else 'the tag `latest`'}"
            )
        elif not _EXACT.match(given):
            yield objects.Fault(path, f"the tag of `{image}` is no exact version")
    version = objects.at(resource.inputs, "spec", "version")
    if resource.kind in {"Prometheus", "Alertmanager"} and resource.is_object:
        named = objects.at(resource.inputs, "spec", "image")
        if named is None and not _EXACT.match(str(version or "")):
            yield objects.Fault("spec.version", f"version `{version or ''}` is no exact one")


def _registry(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    for path, image in _named(resource):
        name = normalised(image)
        if name.startswith("docker.io/chart/default"):
            continue
        if not any(_from(name, each) for each in stack.registries):
            yield objects.Fault(path, f"`{image}` comes from a registry that is not allowed")


def _from(image: str, allowed: str) -> bool:
    """Whether an image is in an allowed folder (`…/`), or is an allowed one."""
    return image.startswith(allowed if allowed.endswith("/") else (f"{allowed}:", f"{allowed}@"))


def _chart(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not resource.is_release:
        return
    version = str(resource.inputs.get("version") or "")
    if not _EXACT.match(version):
        yield objects.Fault("version", f"version `{version}` of the chart is no exact one")
    repository = str(objects.at(resource.inputs, "repositoryOpts", "repo", default=""))
    chart = str(resource.inputs.get("chart") or "")
    if not repository.startswith(("https://", "oci://")) and not chart.startswith("oci://"):
        yield objects.Fault("repositoryOpts.repo", "the chart's repository is not reached over TLS")


RULES = (
    rule.Rule(
        "image-pinned",
        "An image is named by its digest, or by an exact version if it is others'.",
        "A moving tag runs other bytes tomorrow than were reviewed today, and two pods may differ.",
        "name it `…@sha256:<digest>` (`bellwether images build --push` prints our own), "
        "or by a whole version such as `1.2.3`",
        one=_pinned,
    ),
    rule.Rule(
        "image-registry",
        "Images come from the stack's own registry or from a listed one.",
        "Whoever may push to a registry decides what runs here.",
        "copy it into the registry of `bellwether:images.registry`, or list its repository in "
        "`policies/stacks.py` in a reviewed change",
        one=_registry,
    ),
    rule.Rule(
        "chart-pinned",
        "A chart has an exact version, from a repository over TLS.",
        "A range, or none, installs another operator at the next update, unreviewed.",
        "set `version` to one version, and the repository's URL to `https://` or `oci://`",
        one=_chart,
    ),
)
