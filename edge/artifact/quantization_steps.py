"""What a manifest says of the steps of a post-training quantization: which were taken, and what each brought."""

from typing import Annotated

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


class QuantizationSteps(Part):
    """All of them, in order.

    `plain`: ranges alone, everything rounded to the nearest. `total`: as it is. `activations`: what 8 bits of
    activations alone would give, with weights in float. All on `judged_images` of the calibration images, which no
    step has seen. `accuracy`: where a floor of it was asked for.
    """

    steps: tuple[StepFacts, ...]
    plain: StepScore
    total: StepScore
    activations: StepScore
    judged_images: Annotated[int, Field(ge=1, le=2**31)]
    seed: int
    accuracy: StepAccuracy | None = None
