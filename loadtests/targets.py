"""What a load test asks: the names of what is served, and how each is addressed."""

import dataclasses
from typing import Any

import grpc
import httpx

from loadtests import access, endpoints, itinerary, open_inference, samples


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Something that answers inference requests, and the first request that it is sent."""

    name: str
    header: dict[str, str]
    body: samples.Body

    @property
    def path(self) -> str:
        """Its path over REST."""
        return endpoints.infer_path(self.name)


def check(
    gateway: access.Access, protocol: itinerary.Protocol, asked: Target
) -> dict[str, open_inference.Output]:
    """Ask once, and return the answer's tensors; raises `LoadTestError` unless it is an answer."""
    if protocol is itinerary.Protocol.GRPC:
        return _check_grpc(gateway, asked)
    return _check_rest(gateway, asked)


def _check_rest(gateway: access.Access, asked: Target) -> dict[str, open_inference.Output]:
    headers = {"content-type": "application/json"} | asked.header
    try:
        answer = gateway.post(asked.path, headers, asked.body.rest())
    except httpx.TransportError as error:
        raise endpoints.LoadTestError(_away(gateway, str(error))) from error
    if answer.status_code != httpx.codes.OK:
        raise endpoints.LoadTestError(
            _refused(gateway, asked, str(answer.status_code), answer.text[:300])
        )
    try:
        tensors = answer.json()["outputs"]
        return {
            each["name"]: open_inference.Output(each["shape"], each["data"]) for each in tensors
        }
    except (ValueError, KeyError, TypeError) as error:
        raise endpoints.LoadTestError(
            _refused(gateway, asked, "200", "what is no inference answer: " + answer.text[:300])
        ) from error


def _check_grpc(gateway: access.Access, asked: Target) -> dict[str, open_inference.Output]:
    metadata = [*(asked.header | gateway.authorization()).items()]
    with gateway.channel() as channel:
        try:
            answer = infer(channel)(
                asked.body.grpc(asked.name), metadata=metadata, timeout=access.PATIENCE
            )
        except grpc.RpcError as error:
            # A call that failed is its error, which the types do not say.
            code: Any = error.code()
            details = error.details() or ""
            if code is grpc.StatusCode.UNAVAILABLE and "connect" in details.lower():
                raise endpoints.LoadTestError(_away(gateway, details)) from error
            raise endpoints.LoadTestError(_refused(gateway, asked, code.name, details)) from error
    return open_inference.outputs(answer)


def infer(channel: Any) -> Any:
    """Return gRPC's `ModelInfer`; it takes a request that is written already."""
    return channel.unary_unary(
        f"{open_inference.SERVICE}/ModelInfer",
        request_serializer=None,
        response_deserializer=open_inference.messages["ModelInferResponse"].FromString,
    )


def _away(gateway: access.Access, why: str) -> str:
    return (
        f"nothing answers at {gateway.address} ({why}): is the environment up? "
        "`bellwether status` tells, `bellwether up` brings it up"
    )


def _refused(gateway: access.Access, asked: Target, code: str, said: str) -> str:
    return (
        f"{gateway.url}{asked.path} ({asked.header['seldon-model']}) answers {code}: "
        f"{said or 'an empty body'}; `bellwether status` tells what is served"
    )
