"""A recipe: one experiment as plain data. Model, splits, preprocessing, float phase, QAT phase, export.

`edge.recipe.recipe_file` reads it from TOML. Every key is checked, unknown ones are refused; what a network cannot be
trained without has no default.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edge.artifact.scheme import Scheme
from edge.artifact.thresholds import Thresholds
from edge.strict import Strict
from edge.vision.preprocess import Preprocess

MOST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=MOST)]
PositiveCount = Annotated[int, Field(ge=1, le=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[Positive, Positive]
ScoreLoss = Literal["hard_negatives", "focal"]
DecayExempt = Literal["norm", "bias", "depthwise"]


class Model(Strict, extra="allow"):
    """Which network: its name in `edge models` and the arguments of its builder (classes, width, resolution, ...)."""

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class SplitSource(Strict):
    """Where a split comes from: the arguments of `edge.data.open_split`."""

    split: str | None = None
    images: str | None = None
    labels: str | None = None
    masks: str | None = None
    boxes: str | None = None
    classes: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"split": value} if isinstance(value, str) else value


class Data(Strict):
    """The splits. A plain string is a split (`camvid:ROOT:val`); a table has `images` with their targets.

    In every value `${root}` stands for `root` and `${NAME}` for an environment variable that names a file or folder.
    Relative paths start at the working directory. `cache` keeps the training images decoded in memory.

    `holdout`, in place of `val`: that share of `train` is validated on and not trained on, the same images whenever
    they are asked for (`edge.data.hold_out`); another `holdout_seed` holds out others. `skip_damaged` omits, by
    name, images and masks that cannot be used, which are refused otherwise (`edge.data.damaged`).
    """

    root: str | None = None
    train: SplitSource
    val: SplitSource | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] | None = None
    holdout_seed: Seed = 0
    skip_damaged: bool = False
    cache: bool = True
    workers: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _one_validation_split(self) -> "Data":
        if self.val is not None and self.holdout is not None:
            raise ValueError("give val or holdout, not both")
        return self


class Augment(Strict):
    """How training images are changed; see `edge.data.augment` and `edge.data.box_augment` for each number's meaning.

    `area` and `aspect` act on classification and, with `crop_overlaps`, on detection; `scale` on segmentation;
    `expand`, `expand_share`, `crop_overlaps` and `flip_vertical` on detection; the others on all tasks.
    """

    area: Range = (0.25, 1.0)
    aspect: Range = (0.75, 1.3333333333333333)
    scale: Range = (0.5, 2.0)
    expand: Annotated[float, Field(ge=1, le=16)] = 1.0
    expand_share: Probability = 0.5
    crop_overlaps: tuple[Share, ...] = ()
    flip: Probability = 0.5
    flip_vertical: Probability = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    channel: Share = 0.0
    noise: NotNegative = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> "Augment":
        for name in ("area", "aspect", "scale"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: its first number must not be above its second")
        if self.area[1] > 1:
            raise ValueError("area: a share of the image is at most 1")
        return self


class Phase(Strict):
    """What the float phase and the QAT phase have in common.

    Attributes:
        learning_rate: the highest; `schedule` takes it down to 0 (`constant` keeps it), after `warmup_epochs` of rise.
        poly_power: exponent of the poly schedule.
        weight_decay, decay_exempt: L2 for SGD, decoupled for AdamW; parameters of these kinds get none.
        ema_decay: share of the old average kept at each step (0: no average). The averaged weights are the result.
        gradient_clip: largest norm of the whole gradient, None: no limit.
        class_weights: by class, or how to take them from the training masks: `median_frequency` (median share over
            the class's share), `sqrt_frequency` (its square root), `log_frequency` (1 / ln(1.02 + share), ENet).
        positive_weights: of independent labels, the weight of the term of a label that holds: by label, or from the
            training labels: `frequency` (negatives over positives) or `sqrt_frequency` (its square root).
        loss_stride: a segmenter's loss is computed on every n-th pixel along both axes.
        score_loss: of a detector's scores: the anchors of boxes and the `hard_negatives`, three for each (SSD), or all
            anchors by `focal` loss, which starts a new head from a probability of 0.01 for every class.
        box_weight: of the loss of a detector's box codes beside that of its scores.
        match_overlap: by what overlap (intersection over union) or more an anchor learns a box, besides the one anchor
            that every box has. Thin and small boxes, which no anchor resembles, have more of them below 0.5.
        bf16: bfloat16 autocast of the forward pass, on a device that has instructions for it; elsewhere float32.
        drop_partial: omit the last, smaller batch of an epoch.
        freeze_batch_norm_epoch: the first epoch (0 is the first) with frozen statistics of batch norm. None: none in
            the float phase, half of the epochs in QAT, and 0 in both where batch norm was folded into the weights (in
            the float phase for the layers of which that is so: a new head on a backbone has live statistics); where
            those are to train with live statistics, they are first given the statistics of the training images.
        eval_epochs: evaluate (and write the checkpoint) every so many epochs, and after the last.
        keep: which weights are the phase's result: the `last`, or the `best` of all evaluations by `val`, of equal ones
            the first, those before the first step included.
        patience: stop once so many evaluations in a row were no better than the best before; None: never.
        state_steps: steps between two writes of the resume state; each epoch's end writes one too.
    """

    epochs: Count
    batch_size: PositiveCount
    learning_rate: Positive
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Share = 0.9
    schedule: Literal["poly", "cosine", "constant"] = "cosine"
    poly_power: Positive = 0.9
    warmup_epochs: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    decay_exempt: tuple[DecayExempt, ...] = ("norm", "bias", "depthwise")
    ema_decay: Share = 0.0
    gradient_clip: Positive | None = None
    label_smoothing: Share = 0.0
    class_weights: Literal["none", "median_frequency", "sqrt_frequency", "log_frequency"] | tuple[NotNegative, ...] = (
        "none"
    )
    positive_weights: Literal["none", "frequency", "sqrt_frequency"] | tuple[NotNegative, ...] = "none"
    loss_stride: Annotated[int, Field(ge=1, le=32)] = 1
    score_loss: ScoreLoss = "hard_negatives"
    box_weight: Positive = 1.0
    match_overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    augment: Augment = Augment()
    drop_partial: bool = True
    bf16: bool = False
    freeze_batch_norm_epoch: Count | None = None
    eval_epochs: PositiveCount = 1
    keep: Literal["last", "best"] = "last"
    patience: PositiveCount | None = None
    state_steps: PositiveCount = 200
    seed: Seed = 0


class Train(Phase):
    """The float phase.

    Attributes:
        init: a file of pretrained weights (safetensors), `${root}` and `${NAME}` as in `data`; with `epochs = 0` they
            are the result as they are.
        crop_hw: size of the training images, None: the model's input. Evaluation is always at the model's input.
        frozen_blocks: the stem and so many blocks of a MobileNet's backbone stay as `init` brought them.
        point_head_only: all that `init` brought stays as it is, and the point head alone is trained.
        reset_head: with `init`, start the classifier anew where its number of classes differs.
        head: how a classifier starts: as it was loaded or from random numbers (`given`), or from a linear probe on the
            network's own features, whatever was loaded (`probe`, see `edge.training.linear_probe`).
        auxiliary_weight: weight of each auxiliary head's loss, for a model built with `auxiliary = true`.
        auxiliary_stride: `loss_stride` of the auxiliary losses.
    """

    init: str | None = None
    frozen_blocks: Count = 0
    point_head_only: bool = False
    reset_head: bool = False
    head: Literal["given", "probe"] = "given"
    crop_hw: tuple[PositiveCount, PositiveCount] | None = None
    auxiliary_weight: NotNegative = 0.0
    auxiliary_stride: Annotated[int, Field(ge=1, le=32)] = 1

    @model_validator(mode="after")
    def _freezes_something_learned(self) -> "Train":
        for name in ("frozen_blocks", "point_head_only"):
            if getattr(self, name) and self.init is None:
                raise ValueError(f"{name} without init: random layers would stay random")
        return self


class Qat(Phase):
    """The quantization-aware phase, from the float phase's result.

    Attributes:
        ranges: activation ranges are `learned` by gradient, or follow a `moving_average` of the extremes seen.
        ranges_learning_rate: of learned ranges, as a multiple of `learning_rate`.
        observe_batches: batches that set the first ranges, before training.
        rounding: where the weights start: `nearest`, as the float network has them, or `least_squares`, on integers
            chosen layer by layer from `rounding_images` unlabelled training images (`edge.quantization.qat.rounding`),
            which needs `freeze_batch_norm_epoch = 0`.
        freeze_ranges_epoch: the first epoch (0 is the first) with frozen ranges; None: half of the epochs, and never
            the first one.
        label_weight: weight of the loss on labels; 0 needs no labels.
        distillation_weight: weight of the divergence from the float network's output, at `temperature`.
    """

    ranges: Literal["learned", "moving_average"] = "learned"
    ranges_learning_rate: Positive = 1.0
    observe_batches: PositiveCount = 8
    rounding: Literal["nearest", "least_squares"] = "nearest"
    rounding_images: PositiveCount = 125
    freeze_ranges_epoch: Count | None = None
    label_weight: NotNegative = 1.0
    distillation_weight: NotNegative = 0.0
    temperature: Positive = 1.0

    @model_validator(mode="after")
    def _learns_something(self) -> "Qat":
        if self.label_weight == 0 and self.distillation_weight == 0:
            raise ValueError("label_weight and distillation_weight are both 0: nothing to learn from")
        if self.rounding == "least_squares" and self.freeze_batch_norm_epoch != 0:
            raise ValueError('rounding = "least_squares" needs freeze_batch_norm_epoch = 0')
        return self

    @property
    def ranges_frozen_from(self) -> int:
        """The first epoch (0 is the first) with frozen ranges."""
        return max(1, self.epochs // 2) if self.freeze_ranges_epoch is None else self.freeze_ranges_epoch


class Export(Strict):
    """What `edge convert` makes of the result: `head`, what it ends in (see `converters.convert.heads`)."""

    head: Literal["logits", "full_logits", "class_map", "full", "raw", "postprocess"] | None = None


class Recipe(Strict):
    """One experiment. `verdict`: what its artifacts must reach to ship; `edge verify` reads it from the artifact."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    model: Model
    data: Data
    preprocess: Preprocess
    train: Train
    qat: Qat | None = None
    export: Export = Export()
    scheme: Scheme = Scheme()
    verdict: Thresholds | None = None

    @model_validator(mode="after")
    def _can_compare(self) -> "Recipe":
        for name, phase in (("train", self.train), ("qat", self.qat)):
            compares = phase is not None and (phase.keep == "best" or phase.patience is not None)
            if compares and self.data.val is None and self.data.holdout is None:
                raise ValueError(f'[{name}] keep = "best" and patience compare by [data] val or holdout: give one')
        if self.scheme.weight_granularity == "per_tensor":
            raise ValueError('[scheme] weight_granularity = "per_tensor" is for `edge quantize --weight-scales tensor`')
        return self
