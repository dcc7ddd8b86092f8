"""Sends gRPC inference requests; runs in the serving environment, which has MLServer's stubs.

Reads a JSON list of calls on standard input, and writes a JSON list of answers to standard output:
`raw` and `contents` of a tensor hold numbers to send, `hex` the bytes as they are.
"""

import json
import struct
import sys
from typing import Any

import grpc
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import dataplane_pb2_grpc as rpc

FORMATS = {"FP32": "f", "FP64": "d", "INT64": "q"}


def request(call: dict[str, Any]) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name=call["model"])
    for tensor in call["tensors"]:
        sent = message.inputs.add(
            name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
        )
        if "raw" in tensor:
            values = tensor["raw"]
            packed = struct.pack(f"<{len(values)}{FORMATS[tensor['datatype']]}", *values)
            message.raw_input_contents.append(packed)
        elif "hex" in tensor:
            message.raw_input_contents.append(bytes.fromhex(tensor["hex"]))
        else:
            getattr(sent.contents, tensor["field"]).extend(tensor["contents"])
    for name in call.get("outputs", []):
        message.outputs.add(name=name)
    return message


def answer(stub: rpc.GRPCInferenceServiceStub, call: dict[str, Any]) -> dict[str, Any]:
    try:
        response = stub.ModelInfer(request(call), timeout=30)
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details()}
    outputs = {}
    for at, output in enumerate(response.outputs):
        if response.raw_output_contents:
            values = unpacked(output.datatype, response.raw_output_contents[at])
        elif output.datatype == "BYTES":
            values = [text.decode() for text in output.contents.bytes_contents]
        else:
            values = list(output.contents.fp64_contents)
        outputs[output.name] = {
            "datatype": output.datatype,
            "shape": list(output.shape),
            "data": values,
        }
    return {"code": "OK", "outputs": outputs}


def unpacked(datatype: str, raw: bytes) -> list[Any]:
    """Read a raw tensor: texts stand behind their lengths, four bytes each."""
    if datatype != "BYTES":
        return list(struct.unpack(f"<{len(raw) // 8}d", raw))
    texts, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4 + length
        texts.append(raw[at - length : at].decode())
    return texts


def metadata(stub: rpc.GRPCInferenceServiceStub, call: dict[str, Any]) -> dict[str, Any]:
    response = stub.ModelMetadata(pb.ModelMetadataRequest(name=call["metadata"]), timeout=30)
    return {
        "inputs": {tensor.name: list(tensor.shape) for tensor in response.inputs},
        "columns": {
            tensor.name: tensor.parameters["columns"].string_param for tensor in response.inputs
        },
        "level": response.parameters["interval_level"].string_param,
    }


if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[1]) as channel:
        service = rpc.GRPCInferenceServiceStub(channel)
        calls = json.load(sys.stdin)
        json.dump(
            [(metadata if "metadata" in call else answer)(service, call) for call in calls],
            sys.stdout,
        )
