"""Kubernetes objects as Pulumi resources: a manifest each, under the official provider's tokens.

The official SDK has a class for every kind, with an argument class for every part. A manifest that
is registered under its kind's token is the same resource, and it is the very data that is rendered,
policed, and applied in tests.
"""

import collections.abc
import importlib.metadata
import typing

import pulumi

Manifest = dict[str, typing.Any]
"""An object as Kubernetes' API takes it."""

PROVIDER_VERSION = importlib.metadata.version("pulumi-kubernetes")

WAIT_FOR = "pulumi.com/waitFor"
"""The provider awaits no custom resource by itself: this annotation says what to await."""


def token(manifest: collections.abc.Mapping[str, typing.Any]) -> str:
    """Give the resource type of a manifest, such as `kubernetes:apps/v1:Deployment`."""
    version: str = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


class Object(pulumi.CustomResource):
    """One object of a cluster."""

    def __init__(
        self, name: str, manifest: Manifest, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        pinned = pulumi.ResourceOptions(version=PROVIDER_VERSION)
        super().__init__(
            token(manifest), name, manifest, pulumi.ResourceOptions.merge(pinned, opts)
        )
