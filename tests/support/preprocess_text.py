"""The [preprocess] section of recipes and cards, as TOML text."""


def preprocess_text(
    height: int | str = 32, width: int | str = 32, *, fit: str = "stretch", crop_fraction: float = 1.0
) -> str:
    """The section of a network that takes pixels from -1 to 1; a size may be a placeholder of `str.format`."""
    return f"""[preprocess]
colour_order = "rgb"
height = {height}
width = {width}
interpolation = "bilinear"
fit = "{fit}"
crop_fraction = {crop_fraction}
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
"""
