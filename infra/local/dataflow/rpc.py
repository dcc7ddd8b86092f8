"""A pipeline's requests over gRPC, as the gateway sends them."""

import logging
import time
import uuid
from typing import Any

from grpc import StatusCode
from mlserver.grpc import converters
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.types import MetadataModelResponse

from infra.local.dataflow import metrics, topics, wire
from infra.local.dataflow.errors import CallError, StepFailed, UnknownPipeline
from infra.local.dataflow.serving import REQUEST_ID, SUFFIX, Pipelines, own_headers
from infra.local.dataflow.tensors import Request

logger = logging.getLogger(__name__)

_CODES = {400: StatusCode.INVALID_ARGUMENT, 503: StatusCode.UNAVAILABLE}
_NAMES = {
    StatusCode.OK: "OK",
    StatusCode.UNKNOWN: "Unknown",
    StatusCode.INVALID_ARGUMENT: "InvalidArgument",
    StatusCode.UNAVAILABLE: "Unavailable",
    StatusCode.INTERNAL: "Internal",
}
"""As Go spells them in Seldon's metrics."""


class RpcPipelines:
    """Answers gRPC calls that the gateway has for a pipeline, `<pipeline>.pipeline`."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    async def infer(self, internal: str, request: Any, context: Any) -> Any:
        """Answer one inference request."""
        name = internal.removesuffix(SUFFIX)
        began = time.perf_counter()
        code, answer = await self._inferred(name, request, context)
        if name in self._pipelines.executor.pipelines:
            metrics.call_took(name, "grpc", _NAMES[code], time.perf_counter() - began)
        if code is not StatusCode.OK:
            await context.abort(code, answer)
        return answer

    async def ready(self, internal: str) -> Any:
        """Say whether a pipeline can answer."""
        reason = await self._pipelines.why_not_ready(internal.removesuffix(SUFFIX))
        return pb.ModelReadyResponse(ready=reason is None)

    async def metadata(self, internal: str, context: Any) -> Any:
        """Describe a pipeline."""
        name = internal.removesuffix(SUFFIX)
        described = await self._pipelines.metadata(name)
        if described is None:
            await context.abort(StatusCode.UNAVAILABLE, str(UnknownPipeline(name)))
            return None
        described.pop("steps")
        return converters.ModelMetadataResponseConverter.from_types(
            MetadataModelResponse.model_validate(described)
        )

    async def _inferred(self, name: str, request: Any, context: Any) -> tuple[StatusCode, Any]:
        metadata = context.invocation_metadata()
        own = own_headers((key, value) for key, value in metadata if isinstance(value, str))
        request_id = next((value for key, value in metadata if key == REQUEST_ID), None)
        try:
            use_raw = bool(request.raw_input_contents)
            tensors, parameters = wire.read_grpc(request)
            asked = Request(request_id or str(uuid.uuid4()), tensors, parameters, own)
            call = self._pipelines.executor.call(name, asked)
            answer = await call.answer()
            written = wire.write_grpc(answer.message, request.id, use_raw=use_raw)
        except wire.MalformedError as error:
            return StatusCode.INVALID_ARGUMENT, str(error)
        except CallError as error:
            code = StatusCode.UNKNOWN if isinstance(error, StepFailed) else _CODES[error.status]
            return code, str(error)
        except Exception as error:
            logger.exception("pipeline %s failed", name)
            return StatusCode.INTERNAL, f"pipeline {name} failed: {type(error).__name__}: {error}"
        # As in Seldon, an error comes without these.
        version = (topics.VERSION_HEADER, call.version)
        await context.send_initial_metadata((version, *own, *call.routes))
        return StatusCode.OK, written
