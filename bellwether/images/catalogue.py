"""The images: one a folder of `runtimes/` that has a Dockerfile."""

import collections.abc
import dataclasses
import difflib
import pathlib

from infra import settings

USER = 10001
"""Who every image runs as; Kubernetes may say another one."""

CODE = "opt/bellwether/code"
ENVIRONMENT = "opt/bellwether/environment"
"""Where an image has its own code and its virtual environment, from its root."""


class ImageError(Exception):
    """An image cannot be built, or is not what it has to be; the message says how to mend it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image."""

    name: str
    """The folder under `runtimes/`, and the image's name in a registry."""
    purpose: str
    group: str
    """The dependency group of pyproject.toml that it has."""
    runtimes: tuple[str, ...] = ()
    """Folders of `runtimes/` that it has beside its own and `contract`."""
    megabytes: int
    """Budget: the most that its files may be, unpacked, in 10^6 bytes."""
    serves: bool = True
    """Whether what it starts by itself is MLServer."""

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile, from the checkout's root."""
        return f"runtimes/{self.name}/Dockerfile"

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of its code, from the checkout's root."""
        return tuple(f"runtimes/{each}" for each in ("contract", *self.runtimes, self.name))

    @property
    def sources(self) -> tuple[str, ...]:
        """Files and folders that decide what is in it, beside its locked packages and the base."""
        return (
            ".dockerignore",
            "tools/image",
            "runtimes/__init__.py",
            *self.folders,
        )


IMAGES = (
    Image(
        name="predictor",
        purpose="Serves a trained model: linear, LightGBM, ONNX",
        group="image-predictor",
        megabytes=670,
    ),
    Image(
        name="features",
        purpose="The enrichment step, and the stream that fills the feature store",
        group="image-features",
        megabytes=850,
    ),
    Image(
        name="guard",
        purpose="Data quality, anomalies and drift before a forecast; the drift watcher",
        group="image-mlserver",
        megabytes=480,
    ),
    Image(
        name="router",
        purpose="Sends a request to a branch: by regime, or by a contextual bandit",
        group="image-mlserver",
        megabytes=480,
    ),
    Image(
        name="explainer",
        purpose="SHAP, LIME, integrated gradients, counterfactuals",
        group="image-explainer",
        runtimes=("predictor",),
        megabytes=1100,
    ),
    Image(
        name="decision",
        purpose="Confidence and business rules after a forecast",
        group="image-mlserver",
        megabytes=480,
    ),
    Image(
        name="bandit",
        purpose="The controller of bandit policies, and the model that takes rewards",
        group="image-bandit",
        megabytes=490,
    ),
)


def named(names: collections.abc.Sequence[str]) -> tuple[Image, ...]:
    """Give images by name, all where none is named.

    Raises:
        settings.SettingsError: there is no such image.

    """
    known = {image.name: image for image in IMAGES}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise settings.SettingsError(f"there is no image {name!r}; {hint}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else IMAGES


def files(root: pathlib.Path, image: Image) -> collections.abc.Iterator[pathlib.Path]:
    """Give the files below `root` that decide what is in an image, sorted."""
    found: set[pathlib.Path] = {root / image.dockerfile}
    for source in image.sources:
        path = root / source
        found |= {path} if path.is_file() else set(path.rglob("*"))
    for path in sorted(found):
        ignored = path.suffix in {".pyc", ".md"} or "__pycache__" in path.parts
        other = path.name == "Dockerfile" and path != root / image.dockerfile
        if path.is_file() and not ignored and not other:
            yield path
