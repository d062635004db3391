"""Styles, colours and files of figures."""

import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize, to_rgb
from PIL import Image

from linphase.diagram.looks import LOOKS
from linphase.diagram.panels import known_panels
from linphase.errors import LinphaseError
from linphase.figures.diagrams import phase_diagram
from linphase.figures.fitting import Style
from linphase.figures.style import FORMATS, check_format, save
from tests.figures.made import AXES, RANK, D, artist, artists, legend_labels
from tests.figures.pictures import picture, plain

OURS = {"axes.grid": True, "figure.facecolor": "red", "image.cmap": "jet", "savefig.transparent": True}
METADATA = {"linphase": "0.1.0", "config": "0123456789abcdef"}


@pytest.fixture
def figure():
    return picture("regime")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small figure in every format, and the same made under settings that are not heeded; they stay."""
    path = tmp_path_factory.mktemp("figures")
    axes = {"gamma_sigma2": AXES["gamma_sigma2"][:2], "gamma_w": AXES["gamma_w"][2:4]}
    for name, settings in (("a", {}), ("b", OURS)):
        with mpl.rc_context(settings):
            before = dict(mpl.rcParams)
            small = phase_diagram(plain(), axes, "regime")
            for suffix in FORMATS:
                save(small, path / f"{name}.{suffix}", METADATA)
            assert dict(mpl.rcParams) == before
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_runs_give_the_same_bytes_whatever_settings_of_layout_are_and_no_other_file(written, suffix):
    assert (written / f"a.{suffix}").read_bytes() == (written / f"b.{suffix}").read_bytes()
    assert {file.name for file in written.iterdir()} == {f"{name}.{each}" for name in "ab" for each in FORMATS}


def test_a_png_tells_its_config_and_version_and_has_300_dpi(written):
    with Image.open(written / "a.png") as image:
        assert image.info["config"] == METADATA["config"]
        assert image.info["linphase"] == METADATA["linphase"]
        assert image.width == round(3.4 * 300)


def test_a_pdf_tells_its_config_and_keeps_text_as_text(written):
    content = (written / "a.pdf").read_bytes()
    assert b"config: 0123456789abcdef" in content
    assert b"/CreationDate" not in content
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    whole = content + b"".join(inflated(stream) for stream in streams)
    assert b"/Type3" not in whole
    assert b"/CIDFontType2" in whole or b"/TrueType" in whole


def inflated(stream):
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""


def test_an_svg_tells_its_config_and_keeps_text_as_text(figure, tmp_path):
    save(figure, tmp_path / "diagram.svg", METADATA)
    content = (tmp_path / "diagram.svg").read_text()
    assert "linphase: 0.1.0; config: 0123456789abcdef" in content
    assert "mixed | lazy</text>" in content
    assert "lazy (" in "".join(re.findall(r"<text[^>]*>(.*?)</text>", content, re.DOTALL))
    assert "DejaVuSans-" not in content  # the glyphs that text as paths would be made of
    assert "<dc:date>" not in content


def test_another_suffix_is_refused_before_anything_is_written(figure, tmp_path):
    for name in ("diagram.jpg", "diagram"):
        with pytest.raises(LinphaseError, match=r"must end in \.png, \.pdf or \.svg, found"):
            save(figure, tmp_path / name)
    assert check_format(tmp_path / "Diagram.PDF") == "pdf"
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_a_users_mistake(figure, tmp_path):
    with pytest.raises(LinphaseError, match="cannot be written"):
        save(figure, tmp_path / "absent" / "diagram.png")


VIENOT_DEUTERAN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


def linear_rgb(name):
    rgb = np.array(to_rgb(LOOKS[name].color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lightness(linear):
    return 116 * np.cbrt(np.clip(linear @ [0.2126, 0.7152, 0.0722], 0, 1)) - 16


def test_the_regimes_are_an_ordered_trio_in_grey_and_to_a_deuteranope():
    for see in (np.eye(3), VIENOT_DEUTERAN):
        values = [lightness(see @ linear_rgb(name)) for name in ("lazy", "mixed", "balanced")]
        assert values[0] > values[1] + 20
        assert values[1] > values[2] + 20


@pytest.mark.parametrize(
    "name", sorted({panel.colors for panel in known_panels().values() if panel.scale != "outcome"})
)
def test_maps_of_numbers_are_perceptually_uniform(name):
    # Equal steps of the number are equal steps of lightness, within what 8 bits and the published maps allow.
    rgb = colormaps[name](np.linspace(0, 1, 64))[:, :3]
    light = lightness(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4))
    steps = np.diff(light)
    assert (steps > 0).all()
    assert steps.std() < 0.35 * steps.mean()


def test_letters_lines_and_ticks_are_those_of_the_users_settings():
    usual = phase_diagram(plain(), AXES, "regime").axes[0]
    settings = {
        "font.family": "serif",
        "font.size": 9,
        "axes.labelsize": 11,
        "axes.linewidth": 2,
        "xtick.direction": "in",
    }
    with mpl.rc_context(settings):
        ax = phase_diagram(plain(), AXES, "regime").axes[0]
    assert ax.xaxis.label.get_size() == 11
    assert ax.xaxis.get_ticklabels()[0].get_size() == pytest.approx(7 * 9 / 7.5)
    assert ax.spines["left"].get_linewidth() == 2
    assert ax.xaxis.get_tick_params()["direction"] == "in"
    assert [each.xaxis.label.get_fontname() for each in (usual, ax)] == ["DejaVu Sans", "DejaVu Serif"]
    assert [each.xaxis.label.get_math_fontfamily() for each in (usual, ax)] == ["dejavusans", "dejavuserif"]


def test_a_style_sheet_and_a_font_are_heeded_and_what_is_none_is_refused(tmp_path):
    sheet = tmp_path / "journal.mplstyle"
    sheet.write_text("font.size: 10\nfigure.figsize: 1, 1\naxes.grid: True\n")
    figure = phase_diagram(plain(), AXES, "regime", style=Style(sheet=sheet))
    assert figure.axes[0].xaxis.label.get_size() == pytest.approx(8 * 10 / 7.5)
    assert figure.get_size_inches()[0] == pytest.approx(3.4)
    assert not figure.axes[0].xaxis.get_gridlines()[0].get_visible()
    mono = phase_diagram(plain(), AXES, "regime", style=Style(font="monospace", sheet=sheet))
    assert mono.axes[0].xaxis.label.get_fontname() == "DejaVu Sans Mono"
    sheet.write_text("font.size: large and small\n")
    with pytest.raises(LinphaseError, match=r"journal\.mplstyle: is no style sheet that matplotlib reads"):
        phase_diagram(plain(), AXES, "regime", style=Style(sheet=sheet))
    sheet.write_text("font.size: 9\ngarbage\n")
    with pytest.raises(LinphaseError, match=r"journal\.mplstyle, line 2: KEY: VALUE is required, found 'garbage'"):
        phase_diagram(plain(), AXES, "regime", style=Style(sheet=sheet))
    with pytest.raises(LinphaseError, match=r"a style sheet .* is required, found no file"):
        phase_diagram(plain(), AXES, "regime", style=Style(sheet=tmp_path))
    with pytest.raises(LinphaseError, match=r"found 'DejaVu Sherif'\. Did you mean DejaVu Serif"):
        phase_diagram(plain(), AXES, "regime", style=Style(font="DejaVu Sherif"))


def test_titles_lines_and_names_are_left_out_where_that_is_asked():
    bare = phase_diagram(plain(), AXES, "test-error", style=Style(title=False, lines=False))
    assert [bare.axes[0].get_title(), [text.get_text() for text in bare.texts]] == ["", [""]]
    assert not bare.axes[0].lines
    assert not artists(bare.axes[0], "line label")
    unnamed = phase_diagram(plain(), AXES, "test-error", style=Style(names=False))
    assert unnamed.axes[0].lines
    assert not artists(unnamed.axes[0], "line label")
    assert "theory" in legend_labels(unnamed)


def test_figures_are_drawn_in_several_threads_and_leave_the_settings_as_they_are():
    before = dict(mpl.rcParams)
    styles = [Style(font="serif"), Style(type=1.5), Style(), Style(font="monospace")]
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda style: phase_diagram(plain(), AXES, "regime", style=style), styles))
    alone = [phase_diagram(plain(), AXES, "regime", style=style) for style in styles]
    for one, other in zip(drawn, alone, strict=True):
        assert one.axes[0].xaxis.label.get_size() == other.axes[0].xaxis.label.get_size()
        assert one.axes[0].xaxis.label.get_fontname() == other.axes[0].xaxis.label.get_fontname()
    assert dict(mpl.rcParams) == before


def test_the_facts_of_a_diagram_stand_in_it_once():
    runs = plain()
    both = pd.concat([runs, runs.assign(replicate=1, run_id=runs["run_id"] + "1")], ignore_index=True)
    task = f"$d = {D}$, $k = {RANK}$, noise 1"
    for table, panel, shown in (
        (runs, "test-error", f"{task}, one draw"),
        (both, "test-error", f"{task}, mean of 2 draws"),
        (both.assign(kind="modes"), "regime", f"theory, {task}, majority of 2 draws"),
    ):
        texts = phase_diagram(table, AXES, panel).texts
        assert [text.get_text() for text in texts if text.get_gid() == "facts"] == [shown]


def test_the_scale_of_a_panel_is_given_or_hangs_on_cells_that_hold_the_signal_and_keeps_its_kind():
    runs = plain()
    narrow = runs["width"] < runs["rank"]
    assert narrow.any()
    loud = runs.assign(min_test_error=np.where(narrow, 1e6, 0.9 + 0.001 * np.arange(len(runs))))
    norm = artist(phase_diagram(loud, AXES, "test-error").axes[0], "numbers").norm
    assert isinstance(norm, LogNorm)  # though the numbers span no decade
    assert norm.vmax < 1.1
    asked = Style(vmin=0.5, vmax=2.0, scale="linear")
    known = loud.assign(lazy_test_error=0.7, optimal_test_error=0.1, zero_test_error=1.0)
    figure = phase_diagram(known, AXES, "test-error", style=asked)
    shapes = {line.get_gid(): line.get_marker() for line in figure.axes[1].lines}
    told = {each.get_label(): each.get_marker() for legend in figure.legends for each in legend.legend_handles}
    assert shapes == {"mark lazy": told["lazy error"], "mark $A = 0$": told["$A = 0$ error"]}  # optimal is out of range
    norm = artist(phase_diagram(loud, AXES, "test-error", style=asked).axes[0], "numbers").norm
    assert (type(norm), norm.vmin, norm.vmax) == (Normalize, 0.5, 2.0)
    with pytest.raises(LinphaseError, match="a positive low end is required on its log scale, found -1"):
        phase_diagram(loud, AXES, "test-error", style=Style(vmin=-1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"figure_width": "three-column"}, "figure_width: one-column, two-column or a number of inches is required"),
        ({"figure_height": float("nan")}, "figure_height: a finite number is required, found nan"),
        ({"vmin": 2, "vmax": 1}, "vmax: a number above vmin = 2 is required, found 1"),
        ({"vmin": 0, "scale": "log"}, "positive numbers are required on a logarithmic scale"),
        ({"vmax": float("inf")}, "vmax: a finite number is required, found inf"),
        ({"figure_width": [3]}, r"figure_width: a width is required, found \[3\]"),
        ({"font": 3}, "font: the name of a family is required, found 3"),
        ({"title": "no"}, "title: True or False is required, found 'no'"),
        ({"type": 0}, "type: a positive number is required, found 0"),
        ({"scale": "cubic"}, "scale: log or linear is required, found 'cubic'"),
    ],
)
def test_a_style_that_cannot_be_is_refused(given, message):
    with pytest.raises(LinphaseError, match=message):
        Style(**given)


def test_an_unknown_style_is_refused():
    with pytest.raises(LinphaseError, match=r"style must be one of paper, talk, or a linphase\.Style, found 'poster'"):
        phase_diagram(plain(), AXES, "regime", style="poster")
