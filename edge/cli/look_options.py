"""The options of `edge camera` that say how answers look and which of them are printed."""

import click

from edge.cli.bounded_number import Number
from edge.cli.option_group import together

LEGENDS = ("auto", "outside", "none")
COLOURS = ("model", "distinct")
ANSWERS = ("every", "changes", "none")
look_options = together(
    click.option(
        "--legend",
        type=click.Choice(LEGENDS),
        default="auto",
        show_default=True,
        help="In the picture where it covers least, outside of it, or none.",
    ),
    click.option(
        "--colours",
        type=click.Choice(COLOURS),
        default="model",
        show_default=True,
        help="The model's own, or ones that are told apart without red and green.",
    ),
    click.option("--opacity", type=Number(0, 1), default=0.5, show_default=True, help="Of a class map's colours."),
    click.option("--no-times", is_flag=True, help="Leave the line with times and frames per second out."),
    click.option(
        "--answers",
        type=click.Choice(ANSWERS),
        help="Lines that are printed: of every frame (pictures), or where the answer changes, once a second at most "
        "(films and cameras).",
    ),
)
