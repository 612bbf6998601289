"""The HTML report: its numbers, what is escaped, and the page in a real browser without a network."""

import dataclasses
import os
import re
import shutil
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest
from small_model import small_landmarks, small_model, small_photograph, small_result

from jaxface import FitOptions, Status
from jaxface.detection import read_image
from jaxface.export.records import read_npz
from jaxface.export.report import landmark_errors, write_report
from jaxface.model import load_model
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478

pytestmark = pytest.mark.usefixtures("run_once")

NASTY = """<script>alert(1)</script><img src=x onerror='alert(2)'>&amp;"{{ 7 * 7 }}.jpg"""


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def image():
    return small_photograph()


@pytest.fixture(scope="module")
def report(tmp_path_factory, model, image):
    """A report of a turned face, from a photograph with the nastiest of names."""
    result = small_result(25.0)
    path = tmp_path_factory.mktemp("report") / "report.html"
    landmarks = small_landmarks(model, result)
    told = dict(source=NASTY, face=1, together=["a.jpg", "<b>.jpg"])
    write_report(path, model, result, image, landmarks, FitOptions(variant="2d+3d"), **told)
    return path


class Page(HTMLParser):
    """The text of a page, and what its tags are and hold."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_report_says_what_the_fit_found(report):
    text = " ".join(Page(report).text.split())
    assert "face 2" in text and "Fitted: a further iteration would not move the face." in text
    assert "The face is turned 25° to the image's right." in text
    assert "Its identity is that of 2 photographs of one person: a.jpg, <b>.jpg." in text
    assert "yaw +25.0°" in re.sub(r"(yaw|pitch|roll|cost \(Eq. 4\))(?=\S)", r"\1 ", text)
    assert "0.60, 0.40" in text and "0.01 mm²" in text and "pout+0.40" in text.replace(" ", "")
    assert "How the cost fell" not in text  # one of several photographs
    assert "1+0.50" in text.replace(" ", "") and "2-0.30" in text.replace(" ", "")
    assert "variant2d+3d" in text and "solverstructured" in text and f"numpy{np.__version__}" in text


def test_a_file_name_stays_text(report):
    page = Page(report)
    assert NASTY in page.text
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "object", "embed"})
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) >= 3 and all(source.startswith("data:image/jpeg;base64,") for source in pictures)


def test_landmark_errors_are_millimetres_across_the_image(model):
    result = small_result(10.0, scale=2.0)
    landmarks = small_landmarks(model, result)  # 2 pixels off in x and in y
    xy = np.array(landmarks.xy)
    xy[:17] += [1.0, 1.0]
    errors = landmark_errors(model, result, dataclasses.replace(landmarks, xy=xy))
    assert list(errors) == ["jaw line", "brows", "nose", "eyes", "mouth", "all"]
    assert errors["jaw line"] == pytest.approx(3 * 2**0.5 / 2, abs=1e-3)
    assert errors["eyes"] == pytest.approx(2 * 2**0.5 / 2, abs=1e-3)
    assert errors["all"] == pytest.approx((17 * 3 + 51 * 2) / 68 * 2**0.5 / 2, abs=1e-3)
    dense = small_landmarks(model, result, "mediapipe478")
    xy = np.array(dense.xy)
    xy[IBUG68_FROM_MEDIAPIPE478[:17]] += [1.0, 1.0]
    among = landmark_errors(model, result, dataclasses.replace(dense, xy=xy))
    same = {name: errors[name] for name in errors if name != "all"}
    assert among == pytest.approx(same | {"all": (17 * 3 + 461 * 2) / 478 * 2**0.5 / 2}, abs=1e-3)


def test_a_face_that_was_not_fitted_is_said_so(tmp_path, model, image):
    landmarks = small_landmarks(model, small_result())
    broken = dataclasses.replace(landmarks, xy=np.full((68, 2), np.nan, np.float32))
    result = dataclasses.replace(small_result(), status=jnp.int32(Status.NON_FINITE_INPUT))
    bare = dataclasses.replace(model, uv=None, uv_vertices=None, uv_triangles=None, expression_names=())
    write_report(tmp_path / "report.html", bare, result, image, broken)
    text = " ".join(Page(tmp_path / "report.html").text.split())
    assert "Not fitted: a landmark is not a finite number." in text and "the mean face" in text
    assert "yaw" not in text and "How well the landmarks fit" not in text and "nan" not in text


def test_fit_writes_it_beside_the_others(jaxface, tmp_path, photograph):
    result = jaxface("fit", photograph, "-o", "out", "-f", "json,npz", "--report")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path / "out")) == ["fit.json", "fit.npz", "report.html"]
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "astronaut.png" in page and "mouthSmileLeft" in page and len(page) < 4_000_000
    costs = [(name, float(value)) for name, value in re.findall(r"<title>(\w+): (.+) mm²</title>", page)]
    assert [name for name, _ in costs] == ["start", "1", "2", "3", "4"]
    assert costs[0][1] > 2 * costs[1][1]
    down = [float(y) for y in re.findall(r'<circle cx="[^"]+" cy="([^"]+)"', page)]
    assert len(down) == 5 and down == sorted(down)  # as the cost falls
    result, landmarks = read_npz(tmp_path / "out" / "fit.npz")
    assert costs[-1][1] == pytest.approx(float(result.cost), rel=1e-3)
    other = dataclasses.replace(result, cost=2 * result.cost)  # not the fit of these landmarks
    write_report(tmp_path / "other.html", load_model(), other, read_image(photograph), landmarks)
    assert "How the cost fell" not in (tmp_path / "other.html").read_text("utf-8")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium")
    software = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu"]
    quiet = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=[*quiet, *software])
        yield opened
        opened.close()


@pytest.mark.parametrize("width, height, scheme", [(1280, 900, "light"), (390, 844, "dark")])
def test_a_browser_shows_it_without_a_network(browser, report, width, height, scheme):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    asked, said = [], []

    def route(request):
        asked.append(request.request.url)
        request.continue_() if request.request.url.startswith("file:") else request.abort()

    context.route("**/*", route)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri())
    canvas = page.frame_locator("iframe").locator("canvas")
    canvas.wait_for(timeout=60_000)
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
    before = _settled(page, canvas)
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.2 * box["width"], y, steps=8)
    page.mouse.up()
    after = _settled(page, canvas)
    assert np.abs(after - before).mean() > 1
    assert asked == [report.as_uri()] and said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title().startswith("<script>")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) == (scheme == "dark")
    context.close()


def _settled(page, canvas) -> np.ndarray:
    """The pixels of the canvas once they show a head and change no more."""
    from io import BytesIO

    from PIL import Image

    before = None
    for _ in range(120):
        pixels = np.asarray(Image.open(BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
        if before is not None and np.ptp(pixels) > 50 and (pixels == before).all():
            return pixels
        before = pixels
        page.wait_for_timeout(250)
    raise AssertionError("the head does not come to rest")
