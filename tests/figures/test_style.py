"""Styles, colours and files of figures."""

import re
import zlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image

from linphase.diagram.looks import LOOKS
from linphase.diagram.panels import known_panels
from linphase.errors import LinphaseError
from linphase.figures.diagrams import phase_diagram
from linphase.figures.style import FORMATS, check_format, save
from tests.figures.made import AXES
from tests.figures.pictures import picture, plain

OURS = {"font.size": 30, "axes.grid": True, "lines.linewidth": 9, "savefig.transparent": True}
METADATA = {"linphase": "0.1.0", "config": "0123456789abcdef"}


@pytest.fixture
def figure():
    return picture("regime")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small figure in every format, and the same made under other settings, which stay as they are."""
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
def test_the_same_runs_give_the_same_bytes_whatever_the_users_settings_are_and_no_other_file(written, suffix):
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


def test_an_unknown_style_is_refused():
    with pytest.raises(LinphaseError, match="style must be one of paper, talk, found 'poster'"):
        phase_diagram(plain(), AXES, "regime", style="poster")
