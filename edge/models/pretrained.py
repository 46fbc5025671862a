"""Pretrained weights from a file, under the names of `edge.models.layouts`, batch norm present or folded.

The network computes afterwards what the file's network computed. Its padding stays TensorFlow's SAME: torchvision's
and timm's weights were trained with symmetric padding and lose a little until they are tuned again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edge.errors import CheckpointError
from edge.models.attention import attention_paths
from edge.models.layouts import LAYOUTS, LayerNames, own_names
from edge.models.pickled_weights import is_pickled, read_pickled
from edge.models.point_head import point_head_paths

Head = Literal["loaded", "background dropped", "initialized"]
NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")
BACKGROUND_CLASSES = 1001


@dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """What `load_pretrained` did.

    Attributes:
        layout: a key of `edge.models.layouts.LAYOUTS`.
        layers: how many layers got the file's values.
        folded: how many of them had their batch norm folded into weight and bias.
        head: the main classifier: "background dropped" when 1001 outputs became 1000, "initialized" when the file's
            does not fit, or has none for a layer of it.
        ignored: tensors of the file that the network has no room for: auxiliary heads, and of a classifier in whose
            place a segmenter or detector has its own head, its last layers.
        classifier: weight and bias of the file's main classifier, also where it does not fit; None: it has none.
    """

    layout: str
    layers: int
    folded: int
    head: Head
    ignored: tuple[str, ...]
    classifier: tuple[Tensor, Tensor] | None


def load_pretrained(model: nn.Module, path: str | Path, *, reinitialize_head: bool = False) -> LoadedWeights:
    """Load a file of weights into a network, all of it or nothing.

    Where the file's batch norm is folded, ours becomes scale 1, shift = the file's bias, mean 0 and variance 1 - eps,
    which is exact in evaluation. These are not the statistics of any data: train on with batch norm frozen.
    A file whose classifier has 1001 outputs fits 1000 classes: row 0, the background, is dropped. Attention modules
    and a point head that the file does not know stay as they start.

    Args:
        model: a network of this package.
        path: float32, float16 or bfloat16 tensors: safetensors, or a state dict of torch.save (.pt, .pth).
        reinitialize_head: keep the network's own initial head where the file's has another number of classes.

    Raises:
        CheckpointError: not a file of weights, unknown names, tensors missing or left over, a shape that does not
            fit, values that are not finite, or another number of classes. The network is as it was.
    """
    tensors = read_tensors(path)
    layout, names = recognize(model, tensors, path)
    loading = _Loading(path=Path(path), tensors=tensors, norm_eps=LAYOUTS[layout].norm_eps)
    heads: dict[str, Head] = {}
    classifier: tuple[Tensor, Tensor] | None = None
    layers = own_names(model)
    for key, own in layers.items():
        if is_head(key):
            weight, bias = (tensors.get(f"{names[key].layer}.{name}") for name in ("weight", "bias"))
            if not heads and weight is not None and bias is not None:
                classifier = (weight, bias)
            heads[key] = loading.add_head(model, own, names[key], reinitialize_head)
        else:
            loading.add(model, own, names[key])
    for place in (*attention_paths(model), *point_head_paths(model)):
        loading.add_extra(model, place)
    ignored = loading.leftover([name for key, name in names.items() if key not in layers])
    current = model.state_dict()
    model.load_state_dict({**current, **loading.values})
    return LoadedWeights(
        layout=layout,
        layers=loading.layers,
        folded=loading.folded,
        head=_main_head(heads),
        ignored=tuple(sorted(ignored)),
        classifier=classifier,
    )


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read every tensor of a safetensors file or of a state dict that torch.save wrote, floating ones as float32.

    Raises:
        CheckpointError: the file is missing, damaged, more than tensors, or holds values that are not finite.
    """
    path = Path(path)
    tensors = read_pickled(path) if is_pickled(path) else _read_safetensors(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor.to(torch.float32)
            if not torch.isfinite(tensors[name]).all():
                raise CheckpointError(path, f"tensor '{name}' holds values that are not finite")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            path, f"not a readable safetensors file, nor a state dict of torch.save: {error}"
        ) from None


class _Loading:
    """The values collected for a network from one file, so that nothing is assigned before everything fits."""

    def __init__(self, *, path: Path, tensors: dict[str, Tensor], norm_eps: float) -> None:
        self.path = path
        self.tensors = tensors
        self.norm_eps = norm_eps
        self.values: dict[str, Tensor] = {}
        self.layers = 0
        self.folded = 0
        self.used: set[str] = set()

    def add(self, model: nn.Module, own: LayerNames, theirs: LayerNames) -> None:
        """Take one layer, with or without batch norm on either side."""
        module = model.get_submodule(own.layer)
        self.values[f"{own.layer}.weight"] = self.take(f"{theirs.layer}.weight", _shape(module.weight))
        channels = _shape(module.weight)[:1]
        bias_name = f"{theirs.layer}.bias"
        bias = self.take(bias_name, channels) if bias_name in self.tensors else None
        self.layers += 1
        if own.norm is None:
            if bias is None:
                raise CheckpointError(self.path, f"tensor '{bias_name}' is missing")
            self.values[f"{own.layer}.bias"] = bias
            return
        target = model.get_submodule(own.norm)
        assert isinstance(target, nn.BatchNorm2d)
        if theirs.norm is not None and f"{theirs.norm}.weight" in self.tensors:
            norm = self.normalized(theirs.norm, channels, bias, target.eps)
        elif bias is not None:
            self.folded += 1
            norm = {
                "weight": torch.ones(channels),
                "bias": bias,
                "running_mean": torch.zeros(channels),
                "running_var": torch.full(channels, 1.0 - target.eps),
            }
        else:
            norms = "" if theirs.norm is None else f" and no batch norm '{theirs.norm}'"
            raise CheckpointError(self.path, f"layer '{theirs.layer}' has no bias{norms}; one of them must be there")
        self.values.update({f"{own.norm}.{name}": value for name, value in norm.items()})

    def add_extra(self, model: nn.Module, path: str) -> None:
        """Take tensors of attention or a point head by our own names, or leave it if the file has none of them."""
        state = {f"{path}.{name}": value for name, value in model.get_submodule(path).state_dict().items()}
        if self.tensors.keys().isdisjoint(state):
            return
        counters = {name for name, value in state.items() if not value.is_floating_point()}
        self.used |= counters  # how many batches a norm has seen
        self.values.update({name: self.take(name, _shape(state[name])) for name in state.keys() - counters})

    def normalized(
        self, norm: str, channels: tuple[int, ...], bias: Tensor | None, target_eps: float
    ) -> dict[str, Tensor]:
        """A batch norm's tensors; the scale makes up for another epsilon, the mean for a bias before it."""
        taken = {name: self.take(f"{norm}.{name}", channels) for name in NORM_TENSORS}
        self.used.add(f"{norm}.num_batches_tracked")
        variance = taken["running_var"].double()
        if (variance < 0).any():
            raise CheckpointError(self.path, f"tensor '{norm}.running_var' holds a negative variance")
        if target_eps != self.norm_eps:
            gain = ((variance + target_eps) / (variance + self.norm_eps)).sqrt()
            taken["weight"] = (taken["weight"].double() * gain).float()
        if bias is not None:
            taken["running_mean"] = taken["running_mean"] - bias
        return taken

    def add_head(self, model: nn.Module, own: LayerNames, theirs: LayerNames, reinitialize: bool) -> Head:
        """Take a classifier; drop the background row of 1001, or leave ours as it is if asked to."""
        weight_name, bias_name = f"{theirs.layer}.weight", f"{theirs.layer}.bias"
        classes = _shape(model.get_submodule(own.layer).weight)[0]
        weight = self.tensors.get(weight_name)
        if weight is None and reinitialize:
            return "initialized"
        if weight is None or weight.shape[:1] == (classes,):
            self.add(model, own, theirs)
            return "loaded"
        found = weight.shape[0] if weight.dim() else 0
        if found == BACKGROUND_CLASSES == classes + 1 and bias_name in self.tensors:
            self.tensors.update({name: self.tensors[name][1:] for name in (weight_name, bias_name)})
            self.add(model, own, theirs)
            return "background dropped"
        if not reinitialize:
            raise CheckpointError(
                self.path,
                f"its classifier has {found} classes, the model {classes}; with reset_head = true the rest is kept",
            )
        self.used.update((weight_name, bias_name))
        return "initialized"

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """One tensor of the file, of the shape that the network needs."""
        if name not in self.tensors:
            raise CheckpointError(self.path, f"tensor '{name}' is missing")
        tensor = self.tensors[name]
        if not tensor.is_floating_point():
            raise CheckpointError(self.path, f"tensor '{name}' is {tensor.dtype}, not a float type")
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                self.path, f"tensor '{name}' is {tuple(tensor.shape)}, the model needs {shape}; is its width the same?"
            )
        self.used.add(name)
        return tensor

    def leftover(self, replaced: Sequence[LayerNames]) -> set[str]:
        """Tensors that may stay behind: of auxiliary heads and replaced layers; any other is refused."""
        left = self.tensors.keys() - self.used
        parents = {parent for names in replaced for parent in (names.layer, names.norm)}
        unexpected = sorted(name for name in left if not _is_auxiliary(name) and name.rpartition(".")[0] not in parents)
        if unexpected:
            raise CheckpointError(
                self.path, f"{len(unexpected)} tensors that the model has no place for, first '{unexpected[0]}'"
            )
        return left


def recognize(model: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> tuple[str, dict[str, LayerNames]]:
    """The layout that names most of the network's layers as the file does."""
    best, best_names, best_count = "", {}, 0
    for layout, entry in LAYOUTS.items():
        names = entry.names(model) or {}
        count = sum(f"{name.layer}.weight" in tensors for name in names.values())
        if count > best_count:
            best, best_names, best_count = layout, names, count
    if not best:
        example = next(iter(tensors), "nothing")
        raise CheckpointError(path, f"holds no layer of {type(model).__name__}; its first tensor is '{example}'")
    return best, best_names


def _main_head(heads: Mapping[str, Head]) -> Head:
    """What became of the main head; of several layers, whether one of them started anew."""
    main = [head for key, head in heads.items() if not _is_auxiliary(key)]
    return "initialized" if "initialized" in main else main[0]


def _is_auxiliary(name: str) -> bool:
    return name.startswith("auxiliary_")


def is_head(key: str) -> bool:
    """Whether a weight belongs to what is made anew for other classes: the classifier, or an auxiliary head."""
    return key.startswith("classifier") or _is_auxiliary(key)


def _shape(value: object) -> tuple[int, ...]:
    assert isinstance(value, Tensor)
    return tuple(value.shape)
