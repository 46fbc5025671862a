"""The jinja2 environment of our pages: every text escaped and printable, nothing undefined passed over."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edge.errors import UnsupportedError
from edge.installation import needs

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment(filters: Mapping[str, Callable[..., Any]], extra: str) -> "Environment":
    """An environment with these filters.

    Args:
        extra: of this product, which brings jinja2.

    Raises:
        UnsupportedError: the package jinja2 is missing.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise UnsupportedError(f"the page {needs('jinja2', extra)}") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=printable, trim_blocks=True)
    environment.filters.update(filters)
    return environment


def printable(value: Any) -> Any:
    """Text without control characters, which no page may hold."""
    if not isinstance(value, str) or type(value) is not str:
        return value
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in value)
