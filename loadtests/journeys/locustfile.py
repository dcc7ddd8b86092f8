"""Locust's entry: the users of a plan, every request on record, thresholds at the end."""

import gevent  # type: ignore[import-untyped]  # its stubs are a package of their own
import grpc.experimental.gevent
from locust import LoadTestShape, User, events

from loadtests import itinerary, plan
from loadtests.journeys import asking, callers, recorder

_PLAN = plan.read()
_RECORDER = recorder.Recorder(_PLAN)
_RECORDER.listen(events)
_REQUESTS = asking.Requests(_PLAN)


def _users(part: itinerary.Journey) -> type[User]:
    """Make the users of a journey; an odd name in Locust's reports would be the class's."""
    given = {
        "PLAN": _PLAN,
        "PART": part,
        "REQUESTS": _REQUESTS,
        "RECORDER": _RECORDER,
        "weight": itinerary.SHARES[part],
        "abstract": False,
    }
    access = _PLAN.access
    if _PLAN.protocol is itinerary.Protocol.GRPC:
        given |= {"AUTHORIZATION": access.authorization()}
        return type(part.capitalize(), (callers.Rpc,), given)
    given |= {"host": _PLAN.gateway, "default_headers": access.headers()}
    return type(part.capitalize(), (callers.Rest,), given)


if _PLAN.protocol is itinerary.Protocol.GRPC:
    grpc.experimental.gevent.init_gevent()

# Locust looks for users among a module's names.
globals().update({part.capitalize(): _users(part) for part in _PLAN.journey.parts})


class Course(LoadTestShape):
    """The plan's shape."""

    abstract = False

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be, and how many may come in a second."""
        second = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust's annotations have gaps
        return None if second >= _PLAN.seconds else (_PLAN.users_at(second), _PLAN.users)


# gevent counts timers from the last turn of its loop, which was before the imports:
# without this, the first ones come as much too early as they took.
gevent.get_hub().loop.update_now()
