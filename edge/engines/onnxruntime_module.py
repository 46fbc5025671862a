"""The one place that imports ONNX Runtime: its telemetry is switched off before."""

import os
from importlib import import_module
from types import ModuleType

# Since 1.32 the wheels for Linux keep a device id below the home folder and send usage to the publisher, in a thread
# that runs beside every measurement and that a fork does not survive. The library reads the variable when it is loaded.
NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "1")


def onnxruntime_module() -> ModuleType:
    """The module `onnxruntime`, without telemetry unless somebody else imported it before.

    Raises:
        ImportError: it is not installed.
    """
    name, value = NO_TELEMETRY
    os.environ[name] = value
    return import_module("onnxruntime")
