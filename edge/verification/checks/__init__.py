"""The checks of `edge verify`, and what they look at."""
