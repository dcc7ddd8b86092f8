from infra.local.mesh.conditions import Conditions


def test_a_condition_remembers_since_when_it_has_been_so() -> None:
    times = iter(("t1", "t2", "t3", "t4"))
    conditions = Conditions(lambda: next(times))

    def since(uid: str, ok: bool, reason: str) -> str:
        written = conditions.write(uid, "Ready", ok, reason, "")
        assert written["status"] == ("True" if ok else "False")
        assert written["reason"] == reason
        return str(written["lastTransitionTime"])

    assert since("u", ok=False, reason="Loading") == "t1"
    assert since("u", ok=False, reason="Failed") == "t1"
    assert since("u", ok=True, reason="Fine") == "t2"
    assert since("other", ok=True, reason="Fine") == "t3"
    conditions.forget("u")
    assert since("other", ok=True, reason="Fine") == "t3"
    assert since("u", ok=True, reason="Fine") == "t4"
