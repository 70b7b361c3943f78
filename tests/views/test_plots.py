"""Plots: what is drawn, what can't break them, and that they leave the process as it was."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image

from lookalike.errors import UsageError
from lookalike.system import imports
from lookalike.views.plots import Plot, Point, Row, Tile, bars, grid, history, quality_and_cost, save
from lookalike.views.plots.charts import front
from lookalike.views.plots.sheets import NAME, TEXT, drawable, shortened, width, wrapped

HOSTILE = "a$x^2$ \udce9\n\u202eevil\x07\x00 名前 😀 👩\u200d👧 عربي _{é}^ \\frac{1}{2} $ <&>.png"
LONG = "folder/" * 60 + "a_very_long_name_" * 500 + "end.png"


def thumbnail(colour: str = "red", size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> bytes:
    """A small picture of one colour."""
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def words(plot: Plot) -> list[str]:
    """Every text of a plot, in the order in which it was drawn."""
    return [text.get_text() for axes in plot.figure.axes for text in axes.texts]


def pixels(plot: Plot) -> Image.Image:
    """The plot as a notebook shows it."""
    content, _ = plot._repr_png_()
    return Image.open(BytesIO(content)).convert("RGB")


def size(plot: Plot) -> tuple[int, int]:
    """Width and height in units."""
    shown = plot._repr_png_()[1]
    return shown["width"], shown["height"]


def hits(count: int) -> list[Tile]:
    """So many tiles with a picture."""
    return [Tile(f"sea/{n}.jpg", thumbnail("blue"), f"0.{n:03}") for n in range(count)]


def test_a_grid_shows_query_ranks_scores_and_names():
    """The query, and each hit's rank, caption, name and folder, are written; all pictures are drawn."""
    plot = grid([Row("by colour", Tile("beach.jpg", thumbnail()), hits(3))], title="Sea")
    shown = words(plot)
    for text in ("Sea", "by colour", "beach.jpg", "1", "2", "3", "0.000", "0.002", "0.jpg", "2.jpg", "sea"):
        assert text in shown
    assert len(plot.figure.axes[0].images) == 4
    colours = {colour for _, colour in pixels(plot).getcolors(1_000_000) or []}
    assert any(r > 240 and g < 20 and b < 20 for r, g, b in colours)
    assert any(b > 240 and g < 20 and r < 20 for r, g, b in colours)


def test_many_hits_go_on_in_lines_of_one_length():
    """Eight stand in a line at most, and nine are five and four rather than eight and one."""
    widths = {n: size(grid([Row("", Tile("q", thumbnail()), hits(n))]))[0] for n in (5, 8, 9, 30)}
    assert widths[30] == widths[8] > widths[9] == widths[5]


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_a_grid_holds_everything_it_draws(count):
    """However many hits there are, each text and picture lies inside the figure."""
    plot = grid([Row("label", Tile("q/u.jpg", thumbnail()), hits(count))], title="A title")
    across, high = size(plot)
    for image in plot.figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert 0 < left < right < across
        assert 0 < top < bottom < high
    whole = plot.figure.bbox
    for text in plot.figure.axes[0].texts:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
        assert whole.y0 <= box.y0 <= box.y1 <= whole.y1


def test_rows_of_different_lengths_share_their_columns():
    """The first hits of all rows stand under one another, with and without a query of their own."""
    plot = grid([Row("a", Tile("q", thumbnail()), hits(3)), Row("b", None, hits(5)), Row("c", None, [])])
    lefts = [image.get_extent()[0] for image in plot.figure.axes[0].images]
    assert lefts[1:4] == lefts[4:7]
    assert words(plot).count("Nothing found") == 1
    assert words(plot).count("q") == 1


def test_a_query_in_words_is_written_and_not_split():
    """Words stand in the place of a picture; a slash in them is no folder."""
    plot = grid([Row("Words", Tile("cat/dog"), hits(1))])
    assert "cat/dog" in "".join(words(plot))
    assert "dog" not in words(plot)


def test_a_picture_that_is_gone_or_broken_has_a_sign():
    """No thumbnail, and bytes that are no picture, are drawn as a sign that says so."""
    tiles = [Tile("gone.jpg"), Tile("odd.jpg", b"junk"), Tile("half.jpg", thumbnail()[:100])]
    plot = grid([Row("", Tile("q", thumbnail()), tiles)])
    assert words(plot).count("no preview") == 3
    assert len(plot.figure.axes[0].images) == 1


def test_pictures_keep_their_proportions():
    """Wide, high and thin pictures are drawn whole, as wide to high as they are."""
    shapes = [(200, 50), (50, 200), (16, 16), (1, 900)]
    plot = grid([Row("", None, [Tile("x", thumbnail(size=shape, kind="PNG")) for shape in shapes])])
    for (across, high), image in zip(shapes[:3], plot.figure.axes[0].images, strict=False):
        left, right, bottom, top = image.get_extent()
        assert (right - left) / (bottom - top) == pytest.approx(across / high)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_any_name_can_be_drawn(tmp_path, kind):
    """Formulas, control characters, other scripts, bytes that are not UTF-8: no error and no warning."""
    tile = Tile(f"{HOSTILE}/{HOSTILE}", thumbnail(), HOSTILE)
    rows = [Row(HOSTILE, tile, [tile, Tile(LONG)]), Row(LONG, Tile(HOSTILE), []), Row("", Tile(LONG), [])]
    grid(rows, title=HOSTILE).save(tmp_path / f"grid.{kind}")
    points = [Point(HOSTILE, 0.5, 1, 10), Point(LONG, 0.4, 2, 10), Point("", 0.4, 2, 0)]
    quality_and_cost(points, quality=HOSTILE, cost=LONG, title=LONG).save(tmp_path / f"cost.{kind}")
    bars({HOSTILE: {HOSTILE: 0.5}, LONG: {LONG: 0.2}}, title=HOSTILE).save(tmp_path / f"bars.{kind}")
    history({HOSTILE: [1, 2], LONG: [1]}, title=LONG).save(tmp_path / f"history.{kind}")
    assert all(file.stat().st_size > 1000 for file in tmp_path.iterdir())


def test_what_can_not_be_seen_is_spelled_out():
    """Control characters, direction overrides and broken bytes are shown as what they are."""
    assert drawable("a\n\x07\u202eb\udce9") == r"a\n\x07\u202eb\udce9"
    assert drawable("e\u0301té $x$ 😀") == "été $x$ 😀"
    assert drawable("\N{EGYPTIAN HIEROGLYPH A001}") == "\N{REPLACEMENT CHARACTER}"
    assert drawable("x\U000e0067") == r"x\U000e0067"


def test_a_formula_is_written_as_it_stands(tmp_path):
    """Dollar signs and backslashes reach the SVG as letters."""
    grid([Row(r"$\frac{1}{2}$ and $x", None, [])]).save(tmp_path / "x.svg")
    assert r"$\frac{1}{2}$ and $x" in (tmp_path / "x.svg").read_text(encoding="utf-8")


def test_long_names_lose_their_middle():
    """A shortened name fits its room, with its beginning and its ending left."""
    name = "holiday_in_the_mountains_of_2024_by_train.jpeg"
    short = shortened(name, TEXT, 140)
    begin, end = short.split("\N{HORIZONTAL ELLIPSIS}")
    assert name.startswith(begin)
    assert name.endswith(end)
    assert end.endswith(".jpeg")
    assert 120 < width(short, TEXT) <= 140
    assert shortened("short.jpg", TEXT, 140) == "short.jpg"


def test_lines_break_between_words():
    """Wrapped words keep their order and their spelling, on as many lines as allowed, each fitting."""
    text = "yellow lady's slipper beside a dog_and_a_cat"
    lines = wrapped(text, NAME, 120, lines=5)
    assert " ".join(lines).replace("_ ", "_") == text
    assert all(width(line, NAME) <= 120 for line in lines)
    assert len(wrapped(text, NAME, 120, lines=2)) == 2


def test_svg_has_the_words_and_every_picture(tmp_path):
    """An SVG is well-formed, has the labels, and holds each picture for itself."""
    grid([Row("method", Tile("beach.jpg", thumbnail()), hits(2))], title="Sea").save(tmp_path / "x.SVG")
    text = (tmp_path / "x.SVG").read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314 - written just now
    assert len(root.findall(".//{http://www.w3.org/2000/svg}image")) == 3
    for label in ("Sea", "method", "beach.jpg", "0.001"):
        assert label in text
    assert "<dc:date>" not in text


def test_the_ending_decides_and_others_are_refused(tmp_path):
    """PNG, SVG and PDF are written as such; any other ending is named with those that are known."""
    plot = grid([])
    for kind, begin in {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}.items():
        save(plot, tmp_path / f"x.{kind}")
        assert (tmp_path / f"x.{kind}").read_bytes().startswith(begin)
    for name in ("x.jpg", "x", "x.png.txt", ".png"):
        with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
            plot.save(tmp_path / name)
    with pytest.raises(UsageError, match="there is no folder"):
        plot.save(tmp_path / "nowhere" / "x.png")


def test_a_notebook_shows_it_at_its_size():
    """The picture for notebooks is a PNG with more pixels than the size it is shown at."""
    plot = grid([Row("", None, hits(3))])
    shown = plot._repr_png_()[1]
    assert pixels(plot).width == pytest.approx(1.5 * shown["width"], abs=2)
    assert pixels(plot).height == pytest.approx(1.5 * shown["height"], abs=2)
    assert pixels(plot).getpixel((0, 0)) == (255, 255, 255)


def test_a_tall_plot_gets_a_coarser_raster():
    """Rows by the hundred make a picture that can still be held in memory."""
    plot = grid([Row("", None, [])] * 300)
    across, high = plot.figure.get_size_inches() * plot.figure.dpi
    assert high == pytest.approx(60_000)
    assert across * high <= 80_000_000
    assert plot.figure.dpi < 144


def test_labels_of_a_crowd_do_not_overlap():
    """Methods close to one another, and two at the same place, are all named, side by side."""
    crowd = [Point(f"method number {n}", 0.4 + 0.002 * (n % 4), 2 + 0.05 * (n // 4), 500) for n in range(12)]
    plot = quality_and_cost([*crowd, Point("far away", 0.1, 90, 4000), Point("twin", 0.4, 2, 500)])
    begins = ("method", "far", "twin")
    names = [text for text in plot.figure.axes[0].texts if text.get_text().startswith(begins)]
    assert len(names) == 14
    boxes = [name.get_window_extent() for name in names]
    overlapping = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not overlapping


def test_points_stand_where_their_figures_are():
    """The scatter holds every method's cost and quality; a wide range of costs has a log axis."""
    points = [Point("a", 0.4, 2, 100), Point("b", 0.3, 3, 400)]
    axes = quality_and_cost(points).figure.axes[1]
    assert axes.collections[0].get_offsets().tolist() == [[2, 0.4], [3, 0.3]]
    assert axes.get_xscale() == "linear"
    assert quality_and_cost([*points, Point("c", 0.3, 300, 1)]).figure.axes[1].get_xscale() == "log"
    assert quality_and_cost([*points, Point("c", 0.3, 0, 1)]).figure.axes[1].get_xscale() == "linear"


def test_area_is_bytes():
    """Four times the bytes have four times the area; the smallest can still be seen."""
    points = [Point("a", 0.4, 2, 1000), Point("b", 0.3, 3, 4000), Point("c", 0.2, 3, 0)]
    small, large, none = quality_and_cost(points).figure.axes[1].collections[0].get_sizes()
    assert large == pytest.approx(4 * small)
    assert 0 < none < small


def test_the_front_is_what_no_other_beats():
    """Nothing that is dearer and no better is on the line, whatever the order it comes in."""
    a, b, c = Point("a", 0.1, 1, 1), Point("b", 0.3, 2, 1), Point("c", 0.5, 9, 1)
    beaten = [Point("d", 0.2, 3, 1), Point("e", 0.3, 5, 1), Point("f", 0.05, 1, 1)]
    assert front([c, *beaten, b, a]) == [a, b, c]
    assert front([]) == []


def test_methods_without_figures_are_named():
    """A method whose quality or cost is not finite is left out of the chart and named below."""
    plot = quality_and_cost(
        [Point("a", 0.4, 2, 1), Point("lame", math.nan, 2, 1), Point("b", 1, math.inf, 1)]
    )
    assert "Without figures: lame, b" in words(plot)
    assert len(quality_and_cost([Point("only", math.nan, 1, 1)]).figure.axes) == 1
    assert len(quality_and_cost([]).figure.axes) == 1


def test_bars_show_every_figure_and_mark_the_best():
    """A column for each measure, a bar for each method; the best is bold, a missing one is a dash."""
    plot = bars({"one": {"P@5": 0.5, "mAP": 0.25}, "two": {"P@5": 0.75}}, title="Methods")
    texts = {text.get_text(): text for text in plot.figure.axes[0].texts}
    assert {"Methods", "one", "two", "P@5", "mAP", "0.500", "0.750", "0.250", "–"} == set(texts)
    assert texts["0.750"].get_weight() == "bold"
    assert texts["0.500"].get_weight() == "normal"
    drawn = [round(patch.get_width(), 3) for patch in plot.figure.axes[1].patches]
    assert drawn == [1, 1, 0.5, 0.75]
    assert bars({}).figure.axes


def test_history_draws_a_panel_for_each_measure():
    """A measure and its validation share a panel; epochs count from 1; a gap stays a gap."""
    plot = history(
        {"loss": [3, math.nan, 1], "val_loss": [3, 2, 2], "rate": [0.1], "empty": [], "none": [math.nan]}
    )
    panels = plot.figure.axes[1:]
    assert [len(axes.lines) for axes in panels] == [2, 2, 2, 2]
    assert panels[0].lines[0].get_xdata().tolist() == [1, 2, 3]
    assert panels[0].lines[1].get_ydata().tolist() == [3, 2, 2]
    assert words(plot).count("validation") == 1
    assert pixels(plot).width > 1000
    assert history({}).figure.axes


def test_threads_draw_the_same():
    """Four threads that draw at once get, bit for bit, what one alone gets."""

    def draw(_: int) -> bytes:
        return grid([Row("m", Tile("q $x", thumbnail()), hits(4))], title="T")._repr_png_()[0]

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(draw, range(8))) == {draw(0)}


def test_the_users_own_settings_change_nothing(monkeypatch):
    """A dark style, TeX and other settings of the process don't reach a plot, nor does it touch them."""
    import matplotlib as mpl

    rows = [Row("m", Tile("q $x", thumbnail()), hits(2))]
    points = [Point("a", 0.4, 2, 100), Point("b", 0.3, 3, 400)]

    def draw() -> list[bytes]:
        plots = [grid(rows), quality_and_cost(points), bars({"a": {"P": 0.5}}), history({"loss": [1, 2, 3]})]
        return [plot._repr_png_()[0] for plot in plots]

    expected = draw()
    own = {"text.usetex": True, "axes.grid": True, "figure.autolayout": True, "lines.marker": "o",
           "axes.facecolor": "black", "text.color": "red", "font.size": 30, "xtick.top": True,
           "figure.dpi": 50, "savefig.dpi": 30, "savefig.facecolor": "black", "ytick.labelright": True,
           "axes.edgecolor": "red", "lines.linestyle": ":", "savefig.transparent": True}  # fmt: skip
    for name, value in own.items():
        monkeypatch.setitem(mpl.rcParams, name, value)
    assert draw() == expected
    assert all(mpl.rcParams[name] == value for name, value in own.items())


def test_drawing_is_silent_and_needs_no_screen(tmp_path):
    """In a fresh process, without a home or a screen, there is no output, and no pyplot or GUI is loaded."""
    script = (
        "import sys\nfrom lookalike.views.plots import grid\nassert 'matplotlib' not in sys.modules\n"
        "assert 'PIL' not in sys.modules and 'numpy' not in sys.modules\n"
        f"grid([]).save({str(tmp_path / 'x.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'tkinter' not in sys.modules\n"
    )
    environment = {"HOME": "/nonexistent", "MPLBACKEND": "tkagg", "MPLCONFIGDIR": "/proc/nowhere"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert logging.getLogger("matplotlib").level == logging.NOTSET


def test_without_matplotlib_the_extra_is_named():
    """Where matplotlib is missing, the message says what to install, and the module can be imported."""
    script = (
        "import sys\nsys.modules['matplotlib'] = None\nfrom lookalike.views import plots\n"
        "from lookalike.errors import MissingExtra\n"
        "for draw in (plots.grid, plots.quality_and_cost, plots.bars, plots.history):\n"
        "    try:\n        draw({})\n    except MissingExtra as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(imports.missing("a plot", "plot"))] * 4
