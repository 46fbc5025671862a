"""The table of diseases, in the order in which they are looked for, and the examination."""

from collections.abc import Callable, Iterator

from edge.diagnosis.calibration import foreign_calibration
from edge.diagnosis.clamps import relu6_lost
from edge.diagnosis.disease import Disease, Found, not_judged
from edge.diagnosis.inputs import at_chance, other_preprocessing, wrong_colour_order, wrong_mean_or_std
from edge.diagnosis.padding import asymmetric_padding
from edge.diagnosis.patient import Patient
from edge.diagnosis.ranges import outliers
from edge.diagnosis.structure import float_islands, layout_transposes, scales_beyond_limits
from edge.diagnosis.weights import dead_channels, double_quantization, huge_channel_ratios, quantized_already
from edge.errors import UnsupportedError

BROKEN = ("dead channels", "scales beyond kernels' limits")
"""What changes every answer, so that answers tell nothing of anything else."""
DISEASES: tuple[Disease, ...] = (
    Disease(
        name="quantized already",
        about="A file that is to be quantized holds integers: their ranges cannot be chosen again.",
        examine=quantized_already,
    ),
    Disease(
        name="double quantization",
        about="Float weights lie on a grid of 8 bits: they are rounded a second time.",
        examine=double_quantization,
        needs="float weights",
        after=("quantized already",),
    ),
    Disease(
        name="float islands",
        about="Operators compute in float between integers.",
        examine=float_islands,
    ),
    Disease(
        name="layout transposes",
        about="Maps are turned from NCHW to NHWC and back between their operators.",
        examine=layout_transposes,
    ),
    Disease(
        name="scales beyond kernels' limits",
        about="Ratios of scales that LiteRT's kernels refuse, or overflow with.",
        examine=scales_beyond_limits,
    ),
    Disease(
        name="dead channels",
        about="Output channels answer the same to every image.",
        examine=dead_channels,
    ),
    Disease(
        name="huge channel ratios",
        about="One channel of a layer is so large that the others share few levels.",
        examine=huge_channel_ratios,
    ),
    Disease(
        name="ReLU6 lost",
        about="Layers end without the clamp at 6 that they were trained with.",
        examine=relu6_lost,
        needs="the float parent, or integers, or others in the same place, or images",
        after=BROKEN,
    ),
    Disease(
        name="evaluation unlike training",
        about="The model is fed otherwise than its training was: the figure is not the model's.",
        examine=other_preprocessing,
        needs="the training's preprocessing",
    ),
    Disease(
        name="wrong mean or std",
        about="Pixels reach the network on another scale than in its training.",
        examine=wrong_mean_or_std,
        needs="a card; the range of an integer input, or images and batch norm, labels or scores of many classes",
        after=BROKEN,
    ),
    Disease(
        name="foreign calibration images",
        about="Ranges come from noise, flat images or another domain, and do not hold on the camera's.",
        examine=foreign_calibration,
        needs="calibration images; batch norm, or images that the model is judged on",
        after=(*BROKEN, "wrong mean or std"),
    ),
    Disease(
        name="a model at chance",
        about="It answers the same to every image, or is right as seldom as the commonest class.",
        examine=at_chance,
        needs="images, best with labels",
        after=(*BROKEN, "foreign calibration images", "wrong mean or std"),
    ),
    Disease(
        name="wrong colour order",
        about="Red and blue are exchanged.",
        examine=wrong_colour_order,
        needs="images, and labels or scores of many classes",
        after=(*BROKEN, "foreign calibration images", "wrong mean or std", "a model at chance"),
    ),
    Disease(
        name="asymmetric padding",
        about="Strided windows pad at the other side than in the training, and every map is displaced.",
        examine=asymmetric_padding,
        needs="the float parent, or images",
        after=(*BROKEN, "foreign calibration images", "wrong mean or std", "a model at chance", "wrong colour order"),
    ),
    Disease(
        name="unbounded or signed activations",
        about="Outliers of an activation without a bound take the levels of all other values.",
        examine=outliers,
        needs="a float model and images",
        after=(*BROKEN, "foreign calibration images", "wrong mean or std", "huge channel ratios", "ReLU6 lost"),
    ),
)


def examine(patient: Patient, advance: Callable[[int], None] = lambda count: None) -> Iterator[tuple[Disease, Found]]:
    """Look for every disease of the table, in its order; what one makes worthless is not judged."""
    present: list[str] = []
    for disease in DISEASES:
        if causes := [name for name in disease.after if name in present]:
            found = not_judged(f"{' and '.join(causes)} would show here too; cure that first")
        else:
            try:
                found = disease.examine(patient)
            except UnsupportedError as error:
                found = not_judged(str(error))
        if found.state == "sick":
            present.append(disease.name)
        advance(1)
        yield disease, found
