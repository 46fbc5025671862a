"""Runs inside onnx2tf's environment, as a script: `python -I agent.py JOB.json`. Standard library and onnx2tf only.

The job: source (an ONNX file), memory_bytes, batch (or null), calibration (null, or input name and a .npy file of
float32 images, NHWC). Writes result.json beside the job: versions, seconds (also without imports), peak_bytes. The
model lands in ./out.
"""

import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

# onnx2tf wants this file in the working directory for models that take images, or else it downloads one.
SAMPLE = "calibration_image_sample_data_20x128x128x3_float32.npy"


def limit_memory(size_bytes: int) -> None:
    """Let allocations beyond this many bytes of address space fail, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))


def peak_bytes() -> int:
    """The largest resident size of this process so far; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    return int(found.group(1)) * 1024 if found else 0


def main(job_path: str) -> None:
    """Convert."""
    job = json.loads(Path(job_path).read_text())
    limit_memory(job["memory_bytes"])
    start = time.perf_counter()
    import numpy as np

    np.save(SAMPLE, np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32))
    import onnx2tf
    import tensorflow

    options = {}
    if job["calibration"] is not None:
        name, path = job["calibration"]
        options = {
            "output_integer_quantized_tflite": True,
            "quant_type": "per-channel",
            "input_quant_dtype": "int8",
            "output_quant_dtype": "int8",
            # The images are normalized already: mean 0, std 1.
            "custom_input_op_name_np_data_path": [[name, path, [[[[0.0, 0.0, 0.0]]]], [[[[1.0, 1.0, 1.0]]]]]],
        }
    imported = time.perf_counter()
    onnx2tf.convert(
        input_onnx_file_path=job["source"],
        output_folder_path="out",
        copy_onnx_input_output_names_to_tflite=True,
        batch_size=job["batch"],
        non_verbose=True,
        verbosity="error",
        **options,
    )
    result = {
        "versions": {"onnx2tf": version("onnx2tf"), "tensorflow": tensorflow.__version__},
        "seconds": time.perf_counter() - start,
        "conversion_seconds": time.perf_counter() - imported,
        "peak_bytes": peak_bytes(),
    }
    Path("result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
