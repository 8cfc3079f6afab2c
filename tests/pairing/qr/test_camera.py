"""What is shown to a camera: read as it was written, and pictures that an independent reader reads."""

import io
import re

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pairing.qr import UnreadableCodeError, camera, picture, wifi
from pairing.wifi import PasswordLengthError, SsidLengthError, WifiNetwork

TOKEN = b"DSAbCdEf23456z"
NETWORKS = [
    WifiNetwork("Lindenweg", "correct horse battery"),
    WifiNetwork("open"),
    WifiNetwork("☕🏡 Küche 🛋", "pässwörd mit Ümläuten"),
    WifiNetwork("x" * 32, "y" * 63),
    WifiNetwork('"quo\\ted";', '\\\\"\';:,{}[]\\"'),
    WifiNetwork("日本語の家", "密码密码密码"),
]


def fits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=most).filter(
        lambda text: least <= len(text.encode()) <= most
    )


networks = st.builds(WifiNetwork, fits(1, 32), st.one_of(st.just(""), fits(8, 63)))


def drawn(svg: str) -> Image.Image:
    """The picture of an SVG as segno makes it: one path of horizontal strokes, each a row of modules."""
    size = int(re.search(r'viewBox="0 0 (\d+)', svg)[1])  # type: ignore[index]
    image = Image.new("L", (size, size), 255)
    pen = ImageDraw.Draw(image)
    scale = float(re.search(r"scale\((\d+)\)", svg)[1]) if "scale(" in svg else 1.0  # type: ignore[index]
    x = y = 0.0
    for order, along in re.findall(r"([Mmhv])([-0-9. ]+)", re.search(r' d="([^"]+)"', svg)[1]):  # type: ignore[index]
        steps = [float(n) for n in re.findall(r"-?[0-9.]+", along)]
        if order == "h":
            top = y - 0.5
            box = (x * scale, top * scale, (x + steps[0]) * scale - 1, (top + 1) * scale - 1)
            pen.rectangle(box, fill=0)
            x += steps[0]
        else:
            x, y = (steps[0], steps[1]) if order == "M" else (x + steps[0], y + steps[1])
    return image


def read(image: Image.Image) -> str:
    (found,) = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    return str(found.text)


def from_terminal(text: str) -> Image.Image:
    """The half blocks as pixels: what is not drawn is black, as it is on the background it sets."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    lines = plain.split("\n")
    image = Image.new("L", (len(lines[0]), 2 * len(lines)), 0)
    for y, line in enumerate(lines):
        for x, c in enumerate(line):
            for half in (0, 1):
                image.putpixel((x, 2 * y + half), halves[c][half])
    # The last row of blocks has no lower half; a screen shows it with light around.
    image = image.crop((0, 0, image.width, image.width))
    return image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.ssid)
def test_an_independent_reader_reads_what_is_shown(network: WifiNetwork) -> None:
    payload = camera.write(network, TOKEN)
    assert payload.isascii()
    pictures = {
        "png": Image.open(io.BytesIO(picture.png(payload))),
        "svg": drawn(picture.svg(payload)),
        "terminal": from_terminal(picture.terminal(payload)),
    }
    for kind, image in pictures.items():
        assert read(image) == payload, kind
    seen = camera.parse(payload)
    assert (seen.network, seen.token) == (network, TOKEN)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.ssid)
def test_an_independent_reader_reads_a_network_s_own_code(network: WifiNetwork) -> None:
    image = Image.open(io.BytesIO(picture.png(wifi.write(network))))
    assert wifi.parse_network(read(image)) == network


@given(networks)
def test_it_is_read_as_it_was_written(network: WifiNetwork) -> None:
    seen = camera.parse(camera.write(network, TOKEN))
    assert (seen.network, seen.token) == (network, TOKEN)
    assert wifi.parse_network(wifi.write(network)) == network


def test_the_form_is_that_of_tuya_s_cameras() -> None:
    assert camera.write(WifiNetwork("Haus", "12345678"), TOKEN) == '{"p":"12345678","s":"Haus","t":"DSAbCdEf23456z"}'


def test_members_of_other_makers_are_passed_by() -> None:
    seen = camera.parse('{"s":"Haus","p":"","t":"EU12345678abcd","v":2}')
    assert (seen.network, seen.token) == (WifiNetwork("Haus"), b"EU12345678abcd")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", UnreadableCodeError),
        ("[]", UnreadableCodeError),
        ("{}", UnreadableCodeError),
        ('{"s":"x","p":"12345678"}', UnreadableCodeError),
        ('{"s":"x","p":1,"t":"DSAbCdEf23456z"}', UnreadableCodeError),
        ('{"s":"x","p":"","t":"DSAbCdEf23456"}', UnreadableCodeError),
        ('{"s":"x","p":"","t":"DSAbCdEf23456z\\n"}', UnreadableCodeError),
        ('{"s":"x","p":"","t":"DSAbCdEf2345é"}', UnreadableCodeError),
        ('{"s":"\\ud800","p":"","t":"DSAbCdEf23456z"}', UnreadableCodeError),
        ('{"s":"\ud800","p":"","t":"DSAbCdEf23456z"}', UnreadableCodeError),
        ('{"s":"","p":"","t":"DSAbCdEf23456z"}', SsidLengthError),
        ('{"s":"x","p":"1234567","t":"DSAbCdEf23456z"}', PasswordLengthError),
        ('{"s":"x","p":"","t":"DSAbCdEf23456z"}' + " " * 1024, UnreadableCodeError),
        ('{"s":' * 200, UnreadableCodeError),
    ],
)
def test_anything_else_is_unreadable(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        camera.parse(text)
