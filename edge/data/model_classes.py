"""What a model says of its classes, taken from the split it learned on; and reading a user's own data by it."""

from edge.artifact.model_file import Labels
from edge.data.class_names import ClassNames
from edge.data.splits import Split
from edge.errors import UsageError


def model_classes(labels: Labels) -> ClassNames:
    """The model's classes, by which the labels, class folders or masks of a folder are read."""
    return ClassNames(
        names=labels.names,
        palette=labels.palette or (),
        ignore_index=labels.ignore_index,
        mask_table=labels.mask_table,
        mask_colours=labels.mask_colours or (),
    )


def labels_of(split: Split) -> Labels:
    """What the outputs of a network trained on a split mean."""
    return Labels(
        names=split.classes,
        palette=split.palette or None,
        ignore_index=split.ignore_index,
        mask_table=split.mask_table,
        mask_colours=split.mask_colours or None,
    )


def require_model_classes(split: Split, names: tuple[str, ...], subject: str, *, independent: bool) -> None:
    """Refuse (UsageError) targets that are not those of the model's classes.

    Args:
        names: the model's class names, by index.
        independent: whether its classes are labels of which several may hold; one class per image fits these too.
        subject: the model, for the message.
    """
    if not split.has_targets:
        return
    if split.scores == "independent" and not independent:
        raise UsageError(
            f"{split.origin} has independent labels, and the classes of {subject} exclude each other: give one class "
            "per image, or a model trained on such labels"
        )
    if len(split.classes) != len(names):
        raise UsageError(f"{subject} has {len(names)} classes, {split.origin} has {len(split.classes)}")
    places = {name: index for index, name in enumerate(names)}
    for index, name in enumerate(split.classes):
        if names[index] != name and places.get(name, index) != index:  # ImageNet has two cranes
            raise UsageError(
                f"{split.origin} has the classes of {subject} in another order: class {index} is '{name}', the "
                f"model's is '{names[index]}'"
            )
