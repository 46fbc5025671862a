"""The networks of a task that a device may have room for: the registry's builders over widths, sizes and options."""

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import torch

from edge.data.splits import Task
from edge.errors import UsageError, unknown_name
from edge.models.attention import ATTENTION
from edge.models.count import count_module
from edge.models.published import PUBLISHED, Published, published_for
from edge.models.registry import MODELS, build, models_of, task_of

SizeHw = tuple[int, int]
Value = TypeVar("Value")
WIDTHS: Mapping[str, tuple[float, ...]] = {
    "mobilenet_v1": (0.25, 0.5, 0.75, 1.0),
    "deeplab_mobilenet_v1": (0.25, 0.5, 0.75, 1.0),
    "mobilenet_v1_ssdlite": (0.25, 0.5, 0.75, 1.0),
}
OTHER_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
"""MobileNetV2's, and those of a model that has none of its own in WIDTHS."""
OPTIONS: Mapping[str, tuple[Any, ...]] = {"pyramid": (False, True)}
ALIKE = ("activation", "scores")
"""Other arguments that change what a network can do, beside all that its builder says to be one of several values, but
for those that change nothing a device sees. What is neither keeps its default."""


@dataclass(frozen=True, kw_only=True)
class TaskSizes:
    """What a task's candidates are built with where nothing is said: classes, and inputs (height, width)."""

    classes: int
    sizes_hw: tuple[SizeHw, ...]


SIZES: Mapping[Task, TaskSizes] = {
    "classify": TaskSizes(classes=1000, sizes_hw=tuple((side, side) for side in (96, 128, 160, 192, 224))),
    "segment": TaskSizes(classes=19, sizes_hw=((96, 128), (144, 192), (192, 256), (288, 384), (384, 512))),
    "detect": TaskSizes(classes=80, sizes_hw=tuple((side, side) for side in (160, 192, 224, 256, 320))),
}
"""ImageNet's, Cityscapes' and COCO's classes. A segmenter's sizes are multiples of 16, see docs/deeplab.md."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One network of the grid.

    Attributes:
        arguments: of its builder, the classes included. head: what a segmenter or detector ends in; None: its first.
        size_hw: of the input. parameters, multiply_adds: as `edge models` counts them.
        weights: of convolutions and fully connected layers: a byte each in an INT8 file, which is larger than that.
    """

    model: str
    arguments: Mapping[str, Any]
    head: str | None
    size_hw: SizeHw
    parameters: int
    multiply_adds: int
    weights: int

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that are neither width, nor size, nor classes."""
        apart = ("width", "resolution", "resolution_hw", "classes")
        return {name: value for name, value in self.arguments.items() if name not in apart}

    @property
    def name(self) -> str:
        """Of a folder, and unlike every other candidate's: `mobilenet_v2-0.35-96x96-gct`."""
        said = [self.arguments.get("width"), "x".join(map(str, self.size_hw))]
        said += [_word(name, value) for name, value in self.options.items()]
        said += [self.head, f"{self.arguments['classes']}c"]
        return "-".join([self.model, *(str(word) for word in said if word)])

    @property
    def family(self) -> tuple[Any, ...]:
        """What is alike among candidates of which a wider or larger one is never faster."""
        return (self.model, self.head, self.arguments["classes"], *sorted(self.options.items()))

    @property
    def scale(self) -> tuple[float, ...]:
        """Width, and height and width of the input: what grows within a family."""
        return (self.arguments.get("width", 1.0), *self.size_hw)

    @cached_property
    def published(self) -> Published | None:
        """What a network of these arguments reached where it was published."""
        parameters = inspect.signature(MODELS[self.model]).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        return published_for(self.model, {**defaults, **self.arguments})


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    if isinstance(value, str):
        return "" if value == "none" else value
    return f"{name}{value}"


def candidates(
    task: str,
    *,
    models: Sequence[str] = (),
    classes: int | None = None,
    widths: Sequence[float] = (),
    sizes_hw: Sequence[SizeHw] = (),
    attention: Sequence[str] = ("none",),
    heads: Sequence[str | None] = (None,),
) -> list[Candidate]:
    """Every network of a task over widths, sizes and options, counted on shapes alone.

    Args:
        models: only these; all of the task if empty. classes: SIZES says how many otherwise.
        widths, sizes_hw: in place of the tables'. A model that takes squares alone is left out at other sizes.

    Raises:
        UsageError: an unknown task, model or attention module, a model of another task, or nothing that is left.
    """
    if task not in SIZES:
        raise UsageError(unknown_name("task", task, SIZES))
    for name in models:
        if task_of(name) != task:
            raise UsageError(f"{name} is for '{task_of(name)}'; --task {task_of(name)} measures it")
    for name in attention:
        if name not in ATTENTION:
            raise UsageError(unknown_name("attention", name, ATTENTION))
    defaults = SIZES[task]  # type: ignore[index]  # one of its keys, checked above
    found = [
        counted(model, {"classes": classes or defaults.classes, **arguments}, head)
        for model in dict.fromkeys(models or models_of(task))
        for arguments in _grid(
            model, _once(widths), tuple(sizes_hw) or defaults.sizes_hw, _once(attention), not sizes_hw
        )
        for head in _once(heads)
    ]
    if not found:
        sizes = ", ".join("x".join(map(str, size)) for size in sizes_hw)
        raise UsageError(f"no model of '{task}' takes {sizes} with attention {', '.join(attention)}")
    return found


def _once(said: Sequence[Value]) -> tuple[Value, ...]:
    """What was said, in its order, without what was said again."""
    return tuple(dict.fromkeys(said))


def _grid(
    model: str, widths: Sequence[float], sizes_hw: Sequence[SizeHw], attention: Sequence[str], own_sizes: bool
) -> Iterator[dict[str, Any]]:
    """Arguments of a builder, as far as it has them; one without attention is only itself, plain."""
    known = inspect.signature(MODELS[model]).parameters
    if "attention" not in known and "none" not in attention:
        return
    if own_sizes and "resolution_hw" in known:  # what was published is worth a comparison
        published = (row.arguments["resolution_hw"] for row in PUBLISHED if row.model == model)
        sizes_hw = tuple(dict.fromkeys((*sizes_hw, *published)))
    axes: dict[str, Sequence[Any]] = {
        "width": tuple(widths) or WIDTHS.get(model, OTHER_WIDTHS), "attention": attention, **OPTIONS
    }  # fmt: skip
    hints = {name: hint for name, hint in get_type_hints(MODELS[model]).items() if name not in (*axes, *ALIKE)}
    axes |= {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    axes = {name: values for name, values in axes.items() if name in known}
    for height, width in sizes_hw:
        if "resolution_hw" in known:
            size: dict[str, Any] = {"resolution_hw": [height, width]}
        elif height == width:
            size = {"resolution": height}
        else:
            continue
        for values in itertools.product(*axes.values()):
            yield {**dict(zip(axes, values, strict=True)), **size}


def counted(model: str, arguments: Mapping[str, Any], head: str | None = None) -> Candidate:
    """A candidate with its counts. Refuses (UsageError) arguments that its builder refuses."""
    with torch.device("meta"):  # shapes are enough
        network = build(model, **arguments)
    cost = count_module(network)
    *_, height, width = network.input_shape  # type: ignore[misc]  # every model here has it, nn.Module does not say
    layers = (torch.nn.Conv2d, torch.nn.Linear)
    return Candidate(
        model=model,
        arguments=dict(arguments),
        head=head,
        size_hw=(height, width),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        weights=sum(layer.weight.numel() for layer in network.modules() if isinstance(layer, layers)),
    )


def most_capable_first(found: Sequence[Candidate]) -> list[Candidate]:
    """In the order in which a device's owner would want them.

    Where all that is published of them was counted on one data set: by that accuracy; a network without one stands
    before the best published one of its model (of a model without any: of all) that has no more multiply-adds.
    Elsewhere, and where that says nothing: by multiply-adds, then by parameters.
    """
    known = [(entry, entry.published) for entry in found if entry.published is not None]
    if len({figure.metric for _, figure in known}) > 1:
        known = []
    models = {entry.model for entry, _ in known}

    def standing(entry: Candidate) -> tuple[float, int, int]:
        below = [
            figure.value
            for other, figure in known
            if other.multiply_adds <= entry.multiply_adds and (other.model == entry.model or entry.model not in models)
        ]
        own = entry.published.value if known and entry.published is not None else max(below, default=0.0)
        return (own, entry.multiply_adds, entry.parameters)

    return sorted(found, key=standing, reverse=True)
