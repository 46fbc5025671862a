"""The options that name a split, the same for every verb that reads one."""

import click

from edge.cli.option_group import together

skip_damaged = click.option("--skip-damaged", is_flag=True, help="Omit images that cannot be used, and name them.")
split_options = together(
    click.option("--split", help="A split: a pinned file, camvid:ROOT:val, generated:classify:val, ..."),
    click.option("--images", help="A folder of images: class folders, or with --labels, --masks or --boxes."),
    click.option("--labels", help="With --images: the file of their classes."),
    click.option("--masks", help="With --images: the folder of their masks."),
    click.option("--boxes", help="With --images: their boxes, a COCO file or a folder of VOC's or YOLO's files."),
    click.option("--classes", help="With --images: the file of class names."),
    skip_damaged,
)
