"""Opening a page in headless Chromium: what it measures there, and a picture."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

# fmt: off
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)
# fmt: on
MEASURE = """
window.onload = () => { const page = document.querySelector('iframe').contentDocument;
  const pictures = [...page.querySelectorAll('svg')].map(svg => { const box = svg.getBoundingClientRect();
    const drawn = svg.getBBox(); return [box.width, box.height, drawn.width, drawn.height]; });
  const letters = [...page.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height);
  const requests = page.defaultView.performance.getEntriesByType('resource').map(entry => entry.name);
  const seen = {pictures, requests, wide: page.documentElement.scrollWidth, high: page.documentElement.scrollHeight,
    smallest: Math.min(...letters), scripts: page.scripts.length, title: page.title};
  document.getElementById('seen').textContent = JSON.stringify(seen); };
"""


def run(chromium: str, folder: Path, *arguments: str) -> str:
    """Run it with a fresh profile and no name that resolves; its standard output."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND"
    command = [chromium, *OPTIONS, rules, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout


def framed(page: Path, folder: Path, width: int, height: int) -> Path:
    """A page that shows another in a frame of this width: a window of a phone's width cannot be opened."""
    path = folder / f"frame{width}.html"
    source = html.escape(page.read_text("utf-8"), quote=True)
    path.write_text(
        f'<meta charset="utf-8"/><body style="margin:0"><iframe srcdoc="{source}" width="{width}" height="{height}" '
        f'style="border:0"></iframe><pre id="seen"></pre><script>{MEASURE}</script></body>'
    )
    return path


def measured(chromium: str, page: Path, folder: Path, width: int) -> dict[str, Any]:
    """What the page is at a width: sizes of its pictures, its own size, requests that it made."""
    shown = run(
        chromium, folder, "--dump-dom", f"--window-size={width + 20},900", f"file://{framed(page, folder, width, 900)}"
    )
    found = re.search(r'<pre id="seen">(.+?)</pre>', shown, re.DOTALL)
    assert found is not None, "the page was not measured"
    seen = json.loads(html.unescape(found[1]))
    assert isinstance(seen, dict)
    return seen


def picture(chromium: str, page: Path, folder: Path, width: int, height: int) -> bytes:
    """A PNG of the page at a width."""
    target = folder / f"picture{width}.png"
    frame = framed(page, folder, width, height)
    run(chromium, folder, f"--screenshot={target}", f"--window-size={max(width, 500)},{height}", f"file://{frame}")
    return target.read_bytes()
