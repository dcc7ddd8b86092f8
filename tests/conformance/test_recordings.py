"""What was recorded from a real Seldon comes out the same, but for the listed differences."""

import pytest

from tests.conformance import apply, differences, replay
from tests.conformance.environment import Environment

pytestmark = pytest.mark.stack

RECORDINGS = ("models", "experiments", "zero-weights", "pipelines", "validation")


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_comes_out_the_same(
    name: str,
    environment: Environment,
    applier: apply.Applier,
    artifacts: dict[str, str],
) -> None:
    deviations = replay.Replay(name, environment, applier, artifacts).run()
    # A cluster is the real Seldon: nothing is different there.
    known = differences.DIFFERENCES if isinstance(applier, apply.MeshApplier) else ()
    listed = [each for each in known if each.recording == name]
    unlisted = [each for each in deviations if not any(it.explains(each) for it in listed)]
    assert not unlisted, "differs from Seldon without being listed:\n" + "\n".join(
        f"- {each.step}: {each.aspect}: recorded {each.recorded!r}, seen {each.seen!r}"
        for each in unlisted
    )
    occurred = {(each.step, each.aspect) for each in deviations}
    stale = [
        (step, aspect)
        for each in listed
        for step in each.steps
        for aspect in each.aspects
        if (step, aspect) not in occurred
    ]
    assert not stale, f"listed as different, and is not: {stale}"


def test_every_difference_has_a_reason_and_a_recording() -> None:
    for each in differences.DIFFERENCES:
        assert each.recording in RECORDINGS, each
        assert len(each.reason) > 20, each
        names = {
            step.get("name") or step.get("note")
            for step in replay.recording(each.recording)["steps"]
        }
        assert names.issuperset(each.steps), each
