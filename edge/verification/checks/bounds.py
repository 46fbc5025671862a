"""The largest difference that a device's self-test may show, per file and kernel set, from what was measured."""

from collections.abc import Iterable, Mapping

from edge.artifact.manifest import Artifact
from edge.engines.output_difference import ANY_KERNELS, kernel_key
from edge.engines.table import EXACT_KERNELS
from edge.graph.analyses.float_operators import computes_in_float
from edge.graph.graph import Graph
from edge.predictor.selftest import expected_outputs, held_to_sense, promised, run_selftest
from edge.predictor.selftest_archive import read_selftest
from edge.verification.checks.images import Images
from edge.verification.checks.runtimes import Runtime

Bounds = Mapping[str, Mapping[str, float]]


def measured_bounds(
    artifact: Artifact, graphs: Mapping[str, Graph], runtimes: Iterable[Runtime], images: Images
) -> dict[str, dict[str, float]]:
    """Per file and kernel set the largest difference over the images looked at and the self-test's.

    Args:
        graphs: file name -> what it computes.

    For integer files: a float file is held to a tolerance, not to what was measured.
    """
    bounds: dict[str, dict[str, float]] = {}
    for runtime in runtimes:
        largest = runtime.largest
        if images.split is not None or images.count < artifact.manifest.selftest.samples:
            largest = max(largest, run_selftest(artifact, runtime.file.path, runtime.session).largest)
        of_file = bounds.setdefault(runtime.file.path, {})
        key = kernel_key(runtime.session.info)
        in_float = computes_in_float(graphs[runtime.file.path])
        found = promised(key, largest, runtime.file, in_float=in_float)
        of_file[key] = max(of_file.get(key, 0.0), found)
    arrays = read_selftest(artifact)
    return {
        name: held_to_sense(
            of_file, artifact.model_file(name), expected_outputs(artifact, artifact.model_file(name), arrays)
        )
        for name, of_file in bounds.items()
    }


def merged_bounds(old: Bounds, measured: Bounds) -> dict[str, dict[str, float]]:
    """Old bounds and new measurements of the same files: what was once seen stays allowed.

    Kernels that nobody measured are held to the largest difference that any measured ones showed.
    """
    merged = {name: dict(bounds) for name, bounds in old.items()}
    for name, bounds in measured.items():
        of_file = merged.setdefault(name, {})
        for key, value in bounds.items():
            of_file[key] = 0.0 if key in EXACT_KERNELS and value == 0.0 else max(of_file.get(key, 0.0), value)
        of_file[ANY_KERNELS] = max([of_file.get(ANY_KERNELS, 0.0), *bounds.values()])
    return merged
