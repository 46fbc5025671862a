"""An ONNX Runtime model whose inputs and outputs lie in a device's memory: transfers and compute timed apart."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.engine import DeviceTimes
from edge.port import Port

Clock = Callable[[], int]


class DeviceBinding:
    """Inputs and outputs of a session, allocated once on a device.

    Args:
        runtime: the module `onnxruntime`. session: its session. device: `cuda`, or `cpu`.
        clock: nanoseconds. The runtime shows no events of its own: every reading follows a synchronization.
    """

    def __init__(
        self,
        runtime: Any,
        session: Any,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        *,
        device: str,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self._session = session
        self._clock = clock
        self._binding = session.io_binding()
        self._given = [_allocated(runtime, port, device) for port in inputs]
        self._made = [_allocated(runtime, port, device) for port in outputs]
        for port, value in zip(inputs, self._given, strict=True):
            self._binding.bind_ortvalue_input(port.name, value)
        for port, value in zip(outputs, self._made, strict=True):
            self._binding.bind_ortvalue_output(port.name, value)

    def run(self, arrays: Sequence[npt.NDArray[Any]]) -> tuple[list[npt.NDArray[Any]], DeviceTimes]:
        """Copy in, run, copy out; each part ends in a synchronization. The arrays are checked by the caller."""
        started = self._clock()
        for value, array in zip(self._given, arrays, strict=True):
            value.update_inplace(array)
        self._binding.synchronize_inputs()
        there = self._clock()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        computed = self._clock()
        outputs = [value.numpy() for value in self._made]
        back = self._clock()
        times = DeviceTimes(to_device_ns=there - started, compute_ns=computed - there, to_host_ns=back - computed)
        return [np.array(output) for output in outputs], times  # copies: on the CPU they are views of the bound memory


def _allocated(runtime: Any, port: Port, device: str) -> Any:
    return runtime.OrtValue.ortvalue_from_shape_and_type(port.shape, np.dtype(port.dtype).type, device, 0)
