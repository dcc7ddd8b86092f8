"""The inference protocol's protobuf messages, as MLServer has them, without MLServer around them.

Importing the package takes a second of processor time and 125 MB, most of it for web servers;
a process that only encodes needs one generated file of it.
"""

import importlib.machinery
import importlib.util
import pathlib
from types import ModuleType


def _load() -> ModuleType:
    package = importlib.util.find_spec("mlserver")  # finds it, imports nothing
    if package is None or package.origin is None:
        raise ModuleNotFoundError("mlserver is not installed: this needs the serving environment")
    path = pathlib.Path(package.origin).with_name("grpc") / "dataplane_pb2.py"
    # Messages of one file that is registered twice are the same classes.
    loader = importlib.machinery.SourceFileLoader("dataplane_pb2", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    if spec is None:
        raise ModuleNotFoundError(f"{path} is not there")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


messages = _load()
