"""Steps that were taken before a run was interrupted, from which `edge quantize --resume` goes on.

A file beside the artifact's folder: the constants that kept steps changed, the parameters of activations, the table of
gains, and one hash of everything that these follow from. It is written whole after every step, and loads without
running code (`edge.training.tensor_file`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from converters.convert.code_hash import code_sha256
from edge.errors import CheckpointError, UsageError
from edge.files.atomic import make_folder
from edge.files.bounded_file import exists
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.estimators import Estimator
from edge.quantization.ptq.improve import Outcome, Reached
from edge.quantization.ptq.judge import Score
from edge.quantization.ptq.state import State, with_constants
from edge.strict import Strict, first_problem
from edge.training.tensor_file import read_tensors, write_tensors

FORMAT = "edge quantization steps"
VERSION = 1
FORMS = ("real", "graph")
OTHER = "is of another model, other images, options, threads or code; omit --resume to start anew"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a file says beside its tensors.

    Attributes:
        inputs_sha256: of all that the steps follow from.
        run: names the run, see `run_of`. plain, outcomes: so far, as in `Reached`.
        estimator: that found the ranges.
        parameters: activation -> its scale, whether that is float32, and its zero point.
        activations: form ("real", "graph") -> operator -> its fused activation where a step changed that.
    """

    __pydantic_config__ = Strict.model_config

    inputs_sha256: str
    run: str
    plain: Score
    outcomes: tuple[Outcome, ...]
    estimator: Estimator
    parameters: dict[str, tuple[float, bool, int]]
    activations: dict[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A shelf (`improve.Shelf`) that is a file.

    Attributes:
        images_sha256, options: all that the result follows from beside the graph.
        resume: go on from what the file holds, which then must be there and of these inputs; else start anew.
        run: that is kept and resumed, see `run_of`.
    """

    path: Path
    images_sha256: str
    options: Mapping[str, Any]
    resume: bool
    run: str = ""

    def of(self, run: str) -> "Unfinished":
        """The same for one run; what another one made is not resumed."""
        return replace(self, run=run, resume=self.resume and self.held().run == run)

    def held(self) -> Taken:
        """What the file says. Refuses (CheckpointError) none, a damaged one, and one of another kind."""
        return self._read()[0]

    def _read(self) -> tuple[Taken, Mapping[str, torch.Tensor]]:
        if not exists(self.path):
            raise CheckpointError(self.path, "nothing to resume: no step of minutes was taken, or the run ended")
        tensors, content, _ = read_tensors(self.path)
        if content.get("format") != FORMAT or content.get("version") != VERSION:
            raise CheckpointError(self.path, f"holds no steps to resume: it holds '{content.get('format')}'")
        try:
            return TypeAdapter(Taken).validate_json(json.dumps(content.get("taken"))), tensors
        except ValidationError as error:
            raise CheckpointError(self.path, f"holds no steps to resume: {first_problem(error, Taken)}") from error

    def restore(self, given: Graph, state: State) -> Reached | None:
        """What was reached with this graph. Refuses (CheckpointError) a file of other inputs."""
        if not self.resume:
            return None
        taken, tensors = self._read()
        if taken.inputs_sha256 != self._inputs_sha256(given):
            raise CheckpointError(self.path, OTHER)
        parameters = {
            name: (np.float32(scale) if single else scale, zero_point)
            for name, (scale, single, zero_point) in taken.parameters.items()
        }
        real, graph = (_changed(given, tensors, taken.activations[form], f"{form}.") for form in FORMS)
        restored = replace(state, real=real, graph=graph, parameters=parameters, estimator=taken.estimator)
        return Reached(given=given, state=restored, plain=taken.plain, outcomes=taken.outcomes)

    def keep(self, reached: Reached) -> None:
        """Write what was reached, atomically. Refuses (FileError) a place that cannot be written."""
        given, state = reached.given, reached.state
        tensors: dict[str, torch.Tensor] = {}
        activations = {}
        for form, graph in zip(FORMS, (state.real, state.graph), strict=True):
            activations[form] = _changed_activations(given, graph)
            for name, tensor in graph.tensors.items():
                if tensor.data is not None and tensor.data is not given.tensors[name].data:
                    tensors[f"{form}.{name}"] = torch.from_numpy(np.array(tensor.data, order="C"))
        taken = Taken(
            inputs_sha256=self._inputs_sha256(given),
            run=self.run,
            plain=reached.plain,
            outcomes=reached.outcomes,
            estimator=state.estimator,
            parameters={
                name: (float(scale), isinstance(scale, np.float32), int(zero_point))
                for name, (scale, zero_point) in state.parameters.items()
            },
            activations=activations,
        )
        make_folder(self.path.parent)
        write_tensors(self.path, tensors, {"format": FORMAT, "version": VERSION, "taken": asdict(taken)})

    def _inputs_sha256(self, graph: Graph) -> str:
        """Of the graph, images, options and code, and of torch's threads: sums depend on them."""
        digest = hashlib.sha256(f"{code_sha256()} {self.images_sha256} {torch.get_num_threads()}\n".encode())
        digest.update(json.dumps([self.run, self.options], sort_keys=True, default=str).encode())
        digest.update(repr((graph.inputs, graph.outputs, graph.layout, graph.operators)).encode())
        for name, tensor in sorted(graph.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
            if tensor.data is not None:
                digest.update(np.ascontiguousarray(tensor.data).tobytes())
        return digest.hexdigest()


def run_of(steps: Sequence[str], multiply_adds: float, epochs: int) -> str:
    """The name of a run: its steps, and what training may cost."""
    return f"{','.join(steps)} {multiply_adds:g} {epochs}"


def unfinished_path(folder: Path) -> Path:
    """The file of an artifact that is being made."""
    return folder.with_name(f"{folder.name}.unfinished")


def refuse_foreign(path: Path) -> None:
    """Refuse (UsageError) what lies where steps are kept and is none: the run would write over it, and remove it."""
    if not exists(path):
        return
    try:
        ours = read_tensors(path)[1].get("format") == FORMAT
    except CheckpointError:
        ours = False
    if not ours:
        raise UsageError(f"{path}: lies where the steps of this run are kept, and holds none; move or remove it")


def _changed(given: Graph, tensors: Mapping[str, torch.Tensor], activations: Mapping[str, str], prefix: str) -> Graph:
    """A graph with other constants, those under a prefix, and other fused activations."""
    own = {name.removeprefix(prefix): value.numpy() for name, value in tensors.items() if name.startswith(prefix)}
    graph = with_constants(given, own)
    operators = (
        replace(entry, attributes={**entry.attributes, "activation": activations[entry.name]})
        if entry.name in activations
        else entry
        for entry in graph.operators
    )
    return replace(graph, operators=tuple(operators))


def _changed_activations(given: Graph, graph: Graph) -> dict[str, str]:
    """Operator -> its fused activation, where another one; nothing else of a graph is changed by a step."""
    changed = {}
    for before, after in zip(given.operators, graph.operators, strict=True):
        activation = after.attributes.get("activation")
        if activation != before.attributes.get("activation"):
            changed[after.name] = str(activation)
        same = replace(after, attributes={**after.attributes, **_activation(before)})
        assert repr(same) == repr(before), f"{after.name}: a step changed more than constants and activations"
    return changed


def _activation(operator: Operator) -> dict[str, Any]:
    return {key: value for key, value in operator.attributes.items() if key == "activation"}
