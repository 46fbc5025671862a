"""What to try for a costly layer: rules over measured facts, each with the number behind it and a command."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from edge.artifact.manifest import Artifact
from edge.verification.sensitivity.layer_facts import LayerFacts, OutputFacts, WeightFacts
from edge.verification.sensitivity.ranking import LayerCost

STANDS_OUT = 0.25
"""Share of all noise from which on a layer stands out, when both rankings say so."""
TRAINING = "train with quantization in the loop"
WIDER = "quantize activations to 16 bits, if the device has the time; or train with quantization in the loop"
NARROW_CHANNELS = 0.5
UNEVEN = 8.0
"""The widest channel over the median one, from which on the other channels' levels are few because of it."""
OUTLIERS = 2.0
"""The real range over that of the middle 99.9 %, from which on the ends are outliers."""
UNUSED = 0.5
"""Share of the integers' range that the images use, below which the range does not belong to these images."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One thing to try; `layer` is '' for the whole network, `reason` holds the figure, `command` is where to start."""

    layer: str
    kind: str
    reason: str
    action: str
    command: str


def advise(artifact: Artifact, costs: Sequence[LayerCost], facts: Sequence[LayerFacts]) -> list[Suggestion]:
    """One suggestion per layer that was looked at, in that order; and one for the whole when no layer stands out.

    A layer that does not stand out, and has nothing but too few levels against it, gets none of its own.
    """
    found = []
    if costs and not any(stands_out(cost) for cost in costs):
        largest = max(costs, key=lambda cost: cost.alone_noise_share)
        found.append(
            Suggestion(
                layer="",
                kind="",
                reason=f"no layer stands out: '{largest.layer.name}', the costliest of {len(costs)} alone, makes "
                f"{largest.alone_noise_share:.0%} of the noise, and leaving it in float recovers "
                f"{largest.recovered_share:.0%}",
                action="train with quantization in the loop, which moves all layers together",
                command=_train(artifact),
            )
        )
    outstanding = {cost.layer.place for cost in costs if stands_out(cost)}
    own = [(entry, _for_layer(artifact, entry)) for entry in facts]
    return found + [
        one for entry, one in own if one.action not in (TRAINING, WIDER) or entry.layer.place in outstanding
    ]


def stands_out(cost: LayerCost) -> bool:
    """Whether a layer costs much both ways: what only one of them says is other layers' errors adding or cancelling."""
    return min(cost.alone_noise_share, cost.recovered_share) >= STANDS_OUT


def _for_layer(artifact: Artifact, facts: LayerFacts) -> Suggestion:
    total = facts.constants_noise + facts.output_noise
    weights_share = facts.constants_noise / total if total > 0 else 0.0
    if facts.weights is not None and (weights_share > 0.5 or facts.output is None):
        reason, action, command = _for_weights(artifact, facts.weights)
        part = f"{weights_share:.0%} of its noise comes from its weights"
    elif facts.output is not None:
        reason, action, command = _for_output(artifact, facts.output)
        part = f"{1 - weights_share:.0%} of its noise comes from its output"
    else:
        reason, action, command = "its constants are rounded", TRAINING, _train(artifact)
        part = "it has no integer output"
    return Suggestion(
        layer=facts.layer.name, kind=facts.layer.kind, reason=f"{part}; {reason}", action=action, command=command
    )


def _for_weights(artifact: Artifact, weights: WeightFacts) -> tuple[str, str, str]:
    if weights.scales == 1 and weights.channels > 1:
        few = f"{weights.narrow_share:.0%} of them use less than 16 levels"
        reason = f"one scale for {weights.channels} output channels: {few}"
        return reason, "quantize the weights per channel", _quantize(artifact)
    reason = f"{weights.zeroed_share:.1%} of its weights became 0 on {weights.channels} scales of 8 bits"
    action = "choose its integers by least squares, and train with quantization in the loop"
    return reason, action, _train(artifact, "--set qat.rounding=least_squares --set qat.freeze_batch_norm_epoch=0")


def _for_output(artifact: Artifact, output: OutputFacts) -> tuple[str, str, str]:
    held, seen = output.grid_high - output.grid_low, output.high - output.low
    middle = output.middle_high - output.middle_low
    before = artifact.manifest.quantization.ranges
    if output.clip_noise > output.round_noise:
        reason = (
            f"{output.clipped_share:.2%} of its values saturate: they reach {output.low:.4g} to {output.high:.4g}, the "
            f"integers hold {output.grid_low:.4g} to {output.grid_high:.4g}"
        )
        images = "" if before == "minmax" else " --ranges minmax"
        return reason, "calibrate again with images like these and the whole range", _quantize(artifact, images)
    uneven = output.widest_quanta / output.median_quanta if output.median_quanta > 0 else 0.0
    if output.narrow_share >= NARROW_CHANNELS and uneven >= UNEVEN:
        reason = (
            f"channel {output.widest_channel} of {output.channels} spans {output.widest_quanta:.0f} quanta, the median "
            f"channel {output.median_quanta:.1f}; {output.narrow_share:.0%} of the channels use less than 16"
        )
        action = (
            f"equalize: divide channel {output.widest_channel} by about {uneven:.0f} and multiply the weights that "
            "read it by as much, which the float network does not notice; or let training do it"
        )
        return reason, action, _train(artifact)
    if middle > 0 and seen / middle >= OUTLIERS and held / middle >= OUTLIERS:
        reason = (
            f"outliers stretch its range: all values span {seen:.4g}, 99.9 % of them {middle:.4g}, "
            f"{middle / output.scale:.0f} of {output.levels} levels"
        )
        ranges = "percentile" if before != "percentile" else "mse"
        return reason, "calibrate with a range that cuts the outliers", _quantize(artifact, f" --ranges {ranges}")
    if seen < UNUSED * held:
        reason = f"these images use {seen / held:.0%} of its integers' range ({seen:.4g} of {held:.4g})"
        return reason, "calibrate again with images like these", _quantize(artifact)
    used = f"{min(seen / held, 1.0):.0%} used, {output.clipped_share:.2%} saturated"
    reason = f"its range fits ({used}): {output.levels} levels are few"
    if output.levels > 256:
        return reason, TRAINING, _train(artifact)
    return reason, WIDER, _quantize(artifact, " --activations int16")


def _quantize(artifact: Artifact, options: str = "") -> str:
    """The command that quantizes the float network anew, with the images of the camera as SPLIT."""
    provenance = artifact.manifest.provenance
    path = provenance.parent_path or provenance.source_path
    source = _resolved(artifact, path)
    card = " --card CARD.toml" if path.endswith(".onnx") else ""
    return f"edge quantize {source}{card} --calibration SPLIT{options} -o {shlex.quote(f'{artifact.folder}_again')}"


def _train(artifact: Artifact, options: str = "") -> str:
    provenance = artifact.manifest.provenance
    parent = provenance.parent_path or provenance.source_path
    init = f" --init {_resolved(artifact, parent)}" if parent.endswith(".safetensors") else ""
    return f"edge train RECIPE.toml --phase qat{init}{' ' + options if options else ''} -o RUN"


def _resolved(artifact: Artifact, path: str) -> str:
    return shlex.quote(os.path.normpath(artifact.folder / path))
