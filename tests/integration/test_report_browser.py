"""The page in a real browser: it shows, fits a phone, filters, and asks nobody for anything."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import pytest

from kdcheck.report import html
from tests import report_doubles as doubles
from tests.browser import browse, needs_browser

# What the page says of itself once its own script has run; read back from the dumped document.
PROBE = """
<script>
document.querySelectorAll("details").forEach((each) => { each.open = true; });
const wide = document.documentElement.scrollWidth, view = window.innerWidth;
document.querySelector('[data-filter="REFUTED"]').click();
const cards = [...document.querySelectorAll("article")].filter((card) => !card.hidden);
const themes = [...document.querySelectorAll(".theme")].filter((each) => each.offsetHeight);
document.title = `wide ${wide} of ${view}; shown ${cards.map((card) => card.id).join()} `
  + `in ${themes.map((each) => each.firstChild.firstChild.data.replace(/ /g, "-")).join()}; `
  + `paper ${getComputedStyle(document.body).backgroundColor}`;
</script>
"""

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "kdcheck-report.html"
    path.write_text(html(doubles.record()), encoding="utf-8")
    return path


@pytest.fixture
def probed(page: Path) -> Path:
    """The page with our probe at its end; its policy lets inline scripts run."""
    path = page.with_name("probed.html")
    path.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"))
    return path


def rows_of(png: bytes) -> tuple[int, int, set[bytes]]:
    """Width and height of a PNG, and its distinct rows of (still filtered) pixels."""
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    pixels = zlib.decompress(data)
    step = len(pixels) // height
    return width, height, {pixels[row * step : (row + 1) * step] for row in range(height)}


def test_the_page_is_drawn(page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    browse(tmp_path, page.as_uri(), "--window-size=1280,900", f"--screenshot={shot}")
    width, height, rows = rows_of(shot.read_bytes())
    assert (width, height) == (1280, 900)
    assert len(rows) > 200, "an empty page has few distinct rows of pixels"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_nothing_is_wider_than_the_screen_and_a_filter_filters(
    probed: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    wide, view, shown, red = said_of(probed, tmp_path, width, dark=dark)
    assert wide <= view == width
    assert shown == "teaching_makes_less_sure in What-teachers-do"
    assert (red < 128) is dark


def test_something_wider_than_the_screen_would_be_noticed(probed: Path, tmp_path: Path) -> None:
    text = probed.read_text(encoding="utf-8")
    probed.write_text(text.replace("<main>", '<main><div style="width:900px">wide</div>'))
    wide, view, _, _ = said_of(probed, tmp_path, 360, dark=False)
    assert wide > view


def said_of(page: Path, folder: Path, width: int, *, dark: bool) -> tuple[int, int, str, int]:
    """What the probe says: width of page and of view, cards shown, how red the paper is."""
    # A headless window is never narrower than 500 pixels, so a phone is a frame within it.
    frame = folder / "frame.html"
    frame.write_text(
        f'<iframe src="{page.as_uri()}" style="width:{width}px;height:700px;border:0" '
        'onload="document.title = this.contentDocument.title"></iframe>'
    )
    said = browse(
        folder,
        frame.as_uri(),
        *("--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom"),
        "--window-size=1400,900",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
    )
    found = re.search(r"wide (\d+) of (\d+); shown (\S* in \S*); paper rgb\((\d+)", said)
    assert found, said[:500]
    return int(found[1]), int(found[2]), found[3], int(found[4])
