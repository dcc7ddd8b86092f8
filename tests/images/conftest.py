"""Images that are really built, on a base of Debian's packages unless an engine can pull one."""

import pytest

from bellwether.images import building, catalogue, checking, engine


@pytest.fixture(scope="session")
def builder() -> engine.Engine:
    if reason := engine.why_not():
        pytest.skip(f"no image can be built here: {reason}")
    return building.chosen()


@pytest.fixture(scope="session")
def checked(builder):
    """Give what came of an image's check; each image is built and checked once."""
    kept = {}

    def check(name: str) -> tuple[building.Built, checking.Checked]:
        if name not in kept:
            (made,) = building.build(builder, catalogue.named([name]))
            kept[name] = (made, checking.check(builder, made))
        return kept[name]

    return check
