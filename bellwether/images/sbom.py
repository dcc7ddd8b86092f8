"""An image's bill of materials, CycloneDX 1.5: Python packages as uv tells them, Debian's as dpkg does.

https://cyclonedx.org/docs/1.5/json/
"""

import json
import typing
import urllib.parse

from bellwether.images import catalogue, changes, contents
from infra import paths


def document(
    image: catalogue.Image, found: contents.Contents, identity: str, version: str
) -> dict[str, typing.Any]:
    """Write the document of an image whose id is `identity` and whose content is `version`."""
    made: dict[str, typing.Any] = json.loads(changes.bill(paths.ROOT, image.group))
    own = {
        "type": "container",
        "bom-ref": f"bellwether-{image.name}",
        "name": f"bellwether-{image.name}",
        "version": version,
        "description": image.purpose,
        "hashes": [{"alg": "SHA-256", "content": identity.removeprefix("sha256:")}],
    }
    former = made["metadata"]["component"]["bom-ref"]
    made["metadata"]["component"] = own
    debian = [_debian(name, version) for name, version in sorted(found.debian.items())]
    made["components"] += debian
    for each in made.get("dependencies", ()):
        if each["ref"] == former:
            each["ref"] = own["bom-ref"]
            each["dependsOn"] = [*each.get("dependsOn", ()), *(one["bom-ref"] for one in debian)]
    return made


def _debian(name: str, version: str) -> dict[str, str]:
    purl = f"pkg:deb/debian/{name}@{urllib.parse.quote(version)}?arch=amd64&distro=debian-12"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
