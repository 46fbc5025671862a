"""The API reference, from the docstrings, by pdoc. `make docs` runs it; a warning of pdoc's ends it.

Docstrings are plain text with `code`, fenced or indented blocks, and Google's sections (Args, Returns, Raises,
Attributes). What Markdown would read into a formula or a path (`2**-11 ... 2**8`, `<part>/`) stays as it was written.
"""

import re
import sys
import warnings
from pathlib import Path

import pdoc
from jinja2 import pass_context
from jinja2.runtime import Context
from pdoc.render import configure, env
from pdoc.render_helpers import to_markdown_with_context

PACKAGES = ("edge", "converters", "device_bench")


# A fenced block, a paragraph that is indented, a word of code: these say already that they are code.
CODE = re.compile(r"(^```.*?^```|(?:(?<=\n\n)|\A)    .*?(?=\n\n|\Z)|`[^`]+`)", re.DOTALL | re.MULTILINE)


def plain(docstring: str) -> str:
    """The same text in Markdown: `*` and `<` outside of code mean themselves."""
    parts = CODE.split(docstring)
    parts[::2] = [re.sub(r"([*<])", r"\\\1", prose) for prose in parts[::2]]
    return "".join(parts)


@pass_context
def to_markdown(context: Context, docstring: str) -> str:
    """pdoc's own filter, after `plain`."""
    return to_markdown_with_context(context, plain(docstring))


def main() -> None:
    """Write one page per module, and an index that can be searched, into the folder that is named."""
    (folder,) = sys.argv[1:]
    warnings.simplefilter("error")
    configure(docformat="google", show_source=False)
    env.filters["to_markdown"] = to_markdown
    pdoc.pdoc(*PACKAGES, output_directory=Path(folder))


if __name__ == "__main__":
    main()
