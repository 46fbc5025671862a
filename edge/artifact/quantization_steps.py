"""What a manifest says of the steps of a post-training quantization: which were taken, and what each brought."""

from typing import Annotated, Literal

from pydantic import Field

from edge.artifact.model_file import Part, Text

Share = Annotated[float, Field(ge=0, le=1)]


class StepScore(Part):
    """Nearness of the scores to the float network's.

    `sqnr_db`: signal to quantization noise in decibel, None without noise. `agreement`: share of decisions alike, None
    where the largest score is none.
    """

    sqnr_db: float | None
    agreement: Share | None


class StepAccuracy(Part):
    """Shares of true decisions on `images` labelled images: as it is, and of the float network."""

    accuracy: Share
    of_float: Share
    images: Annotated[int, Field(ge=1, le=2**31)]


class StepFacts(Part):
    """One step: scores before and after it by what it is judged by, whether it was kept, why it was not taken."""

    step: Text
    kept: bool
    before: StepScore | None
    after: StepScore | None
    refused: Text | None = None


class WidenedLayer(Part):
    """An activation that was tried in 16 bits: the layer that makes it, and all operators that compute over it.

    `score`, `size_bytes`, `latency_ns`: with it and those kept before it; the last two None where they were not
    counted. `refused`: why it was not kept.
    """

    layer: Text
    form: Literal["int16"]
    operators: tuple[Text, ...]
    kept: bool
    score: StepScore
    size_bytes: Annotated[int, Field(ge=1)] | None
    latency_ns: Annotated[int, Field(ge=1)] | None
    refused: Text | None = None


class MixedPrecision(Part):
    """Activations tried in 16 bits under budgets, in order.

    `before`, `size_bytes`, `latency_ns`: of the INT8 network. `over`: the budget that it does not hold itself.
    """

    size_budget_bytes: Annotated[int, Field(ge=1)] | None
    latency_budget_ns: Annotated[int, Field(ge=1)] | None
    before: StepScore
    size_bytes: Annotated[int, Field(ge=1)]
    latency_ns: Annotated[int, Field(ge=1)] | None
    over: Text | None
    layers: tuple[WidenedLayer, ...]


class QuantizationSteps(Part):
    """All of them, in order.

    `plain`: ranges alone, everything rounded to the nearest. `total`: as it is. `activations`: what 8 bits of
    activations alone would give, with weights in float. All on `judged_images` of the calibration images, which no
    step has seen. `accuracy`: where a floor of it was asked for. `mixed`: where a budget was given.
    """

    steps: tuple[StepFacts, ...]
    plain: StepScore
    total: StepScore
    activations: StepScore
    judged_images: Annotated[int, Field(ge=1, le=2**31)]
    seed: int
    accuracy: StepAccuracy | None = None
    mixed: MixedPrecision | None = None
