"""What more than one tier needs."""

import pytest


@pytest.fixture(scope="session")
def up():
    """The environment of the stack `test`: it comes up once for all that asks for it."""
    from tests.stack import conftest  # noqa: PLC0415  other environments' tests have no Pulumi

    with conftest.running() as stack:
        yield stack
