"""A detector is trained as everything else is: it learns, goes on to the same bytes, and becomes the same integers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from converters.convert.convert import convert_source
from converters.convert.options import ConvertOptions
from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.data.generated import generated_split
from edge.data.splits import Split
from edge.engines.litert import open_litert
from edge.errors import CheckpointError, RecipeError, UsageError
from edge.evaluation.fidelity import Difference, integer_difference
from edge.execution.integer import IntegerSimulation
from edge.graph.importers.onnx.reader import read_onnx
from edge.models.ssdlite import SsdLite
from edge.port import Port
from edge.predictor.predictor import Predictor
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.prepare import QuantizedModel
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe
from edge.tasks.detect import BoxPrediction
from edge.training.batches import Normalizer
from edge.training.box_matching import overlaps
from edge.training.box_prior import PRIOR, start_from_prior
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.evaluate import evaluate
from edge.training.float_phase import FLOAT_NAME, float_job
from edge.training.loop import METRICS_NAME, STATE_NAME, Job, run_phase
from edge.training.network import float_module
from edge.training.progress import Silent
from edge.training.qat_phase import QAT_NAME, qat_job
from edge.training.state import Position, read_position
from edge.vision.anchors import anchor_boxes
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Detections, Selection, in_frame
from edge.vision.pixels import resize
from tests.edge.training.conftest import changed, detector_tree
from tests.support.box_scenes import box_split
from tests.support.ssd_heads import Heads

pytestmark = pytest.mark.unhurried

SCENES = box_split(8)

SIDE = 64
BY_HEART = {
    "model__resolution": SIDE,
    "preprocess__height": SIDE,
    "preprocess__width": SIDE,
    "train__batch_size": 8,
    "train__epochs": 90,  # a step each: as many as batch norm needs from its first statistics to those of the scenes
    "train__learning_rate": 0.02,
    "train__augment": {"flip": 0.0},
}


def recipe_of(**changes: Any) -> Recipe:
    tree = detector_tree()
    del tree["data"]["val"]
    return parse_recipe(changed(tree, changes), "test")


def run(job: Job, folder: Path, phase: str = "float", *, resume: bool = False) -> Position:
    """A phase by the product's loop, without the readers of splits."""
    folder.mkdir(exist_ok=True)
    position = read_position(folder / STATE_NAME) if resume else Position(phase=phase, recipe={})  # type: ignore[arg-type]
    run_phase(job, position, folder, Silent(), resume=resume)
    return position


def pixels(recipe: Recipe, split: Split) -> Tensor:
    images = np.stack([resize(split.image(index), recipe.preprocess) for index in range(len(split))])
    return Normalizer(recipe.preprocess)(torch.from_numpy(images))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("learned")
    run(float_job(recipe_of(**BY_HEART), SCENES, None, Silent()), folder)
    return folder


def found_by(model: nn.Module, recipe: Recipe, split: Split, threshold: float) -> list[Detections]:
    assert isinstance(model, SsdLite)
    with torch.no_grad():
        codes, logits = (each.numpy() for each in model.eval()(pixels(recipe, split)))
    ports = [Port(name="x", shape=(1, *each.shape[1:]), dtype="float32") for each in (codes, logits)]
    decoder = Heads(codes=ports[0], logits=ports[1], anchors=anchor_boxes(model.anchors), coder=BoxCoder())
    selection = Selection(threshold=threshold)
    every = (decoder.found(codes[i : i + 1], logits[i : i + 1], selection) for i in range(len(codes)))
    return [in_frame(each, split.image(0).shape[:2], recipe.preprocess) for each in every]


def test_a_detector_learns_scenes_by_heart(learned: Path) -> None:
    """Every rectangle is found, as what it is, and nothing else; of the empty scene nothing."""
    checkpoint = read_checkpoint(learned / FLOAT_NAME)
    for index, found in enumerate(found_by(restore_module(checkpoint), checkpoint.recipe, SCENES, 0.5)):
        truth = SCENES.boxes(index)
        assert len(found.boxes) == len(truth.boxes)
        shared = overlaps(torch.from_numpy(truth.boxes), torch.from_numpy(found.boxes))
        if len(truth.boxes):
            best, places = shared.max(dim=1)
            assert (best > 0.6).all() and sorted(places.tolist()) == list(range(len(truth.boxes)))
            assert found.labels[places.numpy()].tolist() == truth.labels.tolist()


def test_integers_trained_from_it_are_those_of_the_file(learned: Path, tmp_path: Path) -> None:
    """Labels and teacher in the loss; frozen, written as TFLite, and run: no value of either output differs."""
    recipe = recipe_of(**BY_HEART, qat__epochs=2, qat__augment={"flip": 0.0}, qat__learning_rate=1e-4)
    assert recipe.qat is not None
    parent = read_checkpoint(learned / FLOAT_NAME)
    position = run(qat_job(recipe, recipe.qat, parent, SCENES, None, Silent(), observe=True), tmp_path, "qat")
    assert position.history[-1]["loss"] < 1.0
    prepared = restore_module(read_checkpoint(tmp_path / QAT_NAME))
    assert isinstance(prepared, QuantizedModel)
    source = read_onnx(onnx_bytes(freeze(prepared.eval())))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(source)))
    session, simulation = open_litert(path, kernels="xnnpack"), IntegerSimulation(source)
    parameters = source.tensors[source.inputs[0]].quantization
    assert parameters is not None
    total = Difference()
    for x in pixels(recipe, SCENES).numpy():
        levels = np.clip(np.rint(x / parameters.scale[0]) + parameters.zero_point[0], -128, 127).astype(np.int8)
        given = session.run([np.ascontiguousarray(levels.transpose(1, 2, 0)[None])])
        for expected, values in zip(simulation.run([levels[None]]), given, strict=True):
            total += integer_difference(expected, values)
            assert len(np.unique(values)) > 20
    assert total.values > 0 and total.differing == 0


def test_exclusive_scores_are_learned_as_well_and_said_in_the_manifest(tmp_path: Path) -> None:
    """A softmax over all columns: learned by heart, quantized, and found again by whoever reads the manifest."""
    recipe = recipe_of(**BY_HEART, model__scores="exclusive", qat__learning_rate=1e-4, qat__augment={"flip": 0.0})
    assert recipe.qat is not None
    run(float_job(recipe, SCENES, None, Silent()), tmp_path)
    parent = read_checkpoint(tmp_path / FLOAT_NAME)
    learned_map = evaluate(restore_module(parent), SCENES, recipe.preprocess)["map"]
    run(qat_job(recipe, recipe.qat, parent, SCENES, None, Silent(), observe=True), tmp_path / "qat", "qat")
    artifact = convert_source(tmp_path / "qat" / QAT_NAME, tmp_path / "int8")
    assert [output.scores for output in artifact.manifest.files[0].outputs] == [None, "exclusive"]
    predictor = Predictor.load(artifact, engine="litert", threshold=0.5)
    right = 0
    for index in range(len(SCENES)):
        found = predictor(SCENES.image(index), format="rgb")
        assert isinstance(found, BoxPrediction)
        right += sorted(found.boxes.labels.tolist()) == sorted(SCENES.boxes(index).labels.tolist())
    assert learned_map > 0.7 and right >= len(SCENES) - 1
    with pytest.raises(UsageError, match="--head postprocess is of independent scores"):
        convert_source(tmp_path / FLOAT_NAME, tmp_path / "no", ConvertOptions(head="postprocess"))


class Stopped(Exception):
    """What ends a training early."""


@pytest.mark.parametrize("phase", ["float", "qat"])
def test_it_goes_on_to_the_same_bytes(phase: str, learned: Path, tmp_path: Path) -> None:
    """Stopped within an epoch, after another had ended: the same losses, and the same file."""
    strong = {"flip": 0.5, "flip_vertical": 0.5, "expand": 1.5, "crop_overlaps": [0.0, 0.5], "brightness": 0.2}
    options = {f"{name}__{key}": value for name in ("train", "qat") for key, value in _options(strong).items()}
    recipe = recipe_of(**{key: value for key, value in BY_HEART.items() if "train" not in key}, **options)
    parent = read_checkpoint(learned / FLOAT_NAME)
    assert recipe.qat is not None

    def job(observe: bool = True) -> Job:
        if phase == "float":
            return float_job(recipe, SCENES, None, Silent())
        assert recipe.qat is not None
        return qat_job(recipe, recipe.qat, parent, SCENES, None, Silent(), observe=observe)

    whole = run(job(), tmp_path / "whole", phase)
    cut = job()
    steps: list[float] = []

    def stopping(batch: Any) -> Tensor:
        if len(steps) == 3:
            raise Stopped
        loss = cut.loss(batch)
        steps.append(float(loss.detach()))
        return loss

    with pytest.raises(Stopped):
        run(_with_loss(cut, stopping), tmp_path / "cut", phase)
    assert read_position(tmp_path / "cut" / STATE_NAME).batch == 1
    gone_on = run(job(observe=False), tmp_path / "cut", phase, resume=True)
    assert [each["loss"] for each in gone_on.history] == [each["loss"] for each in whole.history]
    name = FLOAT_NAME if phase == "float" else QAT_NAME
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (tmp_path / "cut" / METRICS_NAME).exists()


def _options(augment: Mapping[str, object]) -> dict[str, object]:
    return {"epochs": 2, "batch_size": 4, "state_steps": 1, "ema_decay": 0.9, "augment": augment}


def _with_loss(job: Job, loss: Any) -> Job:
    return Job(**{**vars(job), "loss": loss})


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_teacher_alone_needs_no_boxes(weight: float, learned: Path) -> None:
    """The first loss against the float network itself is what quantization costs, little beside a network's first."""
    recipe = recipe_of(**BY_HEART, qat__augment={"flip": 0.0}, qat__label_weight=weight)
    assert recipe.qat is not None
    unlabelled = Split(samples=SCENES.samples, task="detect", classes=SCENES.classes)
    job = qat_job(recipe, recipe.qat, read_checkpoint(learned / FLOAT_NAME), unlabelled, None, Silent(), observe=True)
    job.begin_epoch(0)
    batch = next(iter(job.batches.epoch(0)))
    assert (batch.targets is None) == (weight == 0)
    assert 0 < float(job.loss(batch).detach()) < 3


def test_focal_loss_starts_where_no_class_is_probable() -> None:
    recipe = recipe_of(train__score_loss="focal", model__resolution=SIDE)
    model = float_module(recipe)
    assert isinstance(model, SsdLite)
    with torch.no_grad():
        for predictor in model.classifier.scores:
            nn.init.zeros_(predictor.get_parameter("predict.weight"))
        start_from_prior(model)
        probabilities = torch.sigmoid(model.eval()(torch.zeros(1, 3, SIDE, SIDE))[1])
    assert torch.allclose(probabilities[:, :, 1:], torch.tensor(PRIOR))
    assert torch.allclose(probabilities[:, :, 0], torch.tensor(1 - PRIOR))
    job = float_job(recipe_of(**BY_HEART, train__score_loss="focal"), SCENES, None, Silent())
    job.begin()
    first = float(job.loss(next(iter(job.batches.epoch(0)))).detach())
    assert first < 10  # from probabilities of a half on, thousands of anchors would cost hundreds


def test_a_lower_overlap_gives_boxes_more_anchors() -> None:
    """The same batch; the loss per anchor is another."""
    losses = []
    for overlap in (0.5, 0.3):
        job = float_job(recipe_of(**BY_HEART, train__match_overlap=overlap), SCENES, None, Silent())
        losses.append(float(job.loss(next(iter(job.batches.epoch(0)))).detach()))
    assert losses[0] != losses[1]


def test_the_first_layers_stay_as_they_were_loaded(learned: Path, tmp_path: Path) -> None:
    """Weights, and statistics of batch norm; all others move."""
    frozen = {"train__init": str(learned / "plain.safetensors"), "train__frozen_blocks": 2, "train__epochs": 1}
    kept = read_checkpoint(learned / FLOAT_NAME)
    save_file({name: tensor.contiguous() for name, tensor in kept.tensors.items()}, learned / "plain.safetensors")
    run(float_job(recipe_of(**{**BY_HEART, **frozen}), SCENES, None, Silent()), tmp_path)
    after = read_checkpoint(tmp_path / FLOAT_NAME).tensors
    learned_names = {name for name in after if not name.endswith("num_batches_tracked")}  # files hold no such counts
    still = {name for name in learned_names if name.startswith(("stem.", "blocks.0.", "blocks.1."))}
    moved = {name for name in learned_names if not torch.equal(after[name], kept.tensors[name])}
    assert still and not still & moved
    assert {name for name in learned_names if name.startswith("blocks.2.")} <= moved


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train__crop_hw": [64, 64]}, "crop_hw: boxes are trained at the model's input"),
        ({"train__class_weights": "median_frequency"}, "class_weights is of images and pixels"),
        ({"train__label_smoothing": 0.1}, "label_smoothing is of images and pixels"),
        ({"train__loss_stride": 2}, "loss_stride is of images and pixels"),
        ({"train__head": "probe"}, 'head = "probe" is for images with classes'),
        ({"model__classes": 3}, "has 2 classes"),
        ({"train__init": "w.safetensors", "train__frozen_blocks": 14}, "no such file"),
    ],
)
def test_what_does_nothing_to_a_detector_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises((UsageError, CheckpointError), match=told):
        float_job(recipe_of(**changes), SCENES, None, Silent())


def test_keys_of_detectors_are_refused_elsewhere(classifier: Any) -> None:
    with pytest.raises(UsageError, match="score_loss is of detectors"):
        float_job(classifier(train__score_loss="focal"), generated_split("classify", "train", 8), None, Silent())
    with pytest.raises(RecipeError, match="frozen_blocks without init"):
        recipe_of(train__frozen_blocks=2)
