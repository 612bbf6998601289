"""The page: what its clicks compute, what is kept for it, and the whole of it in a browser."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from PIL import Image
from small_model import SIZE, small_landmarks, small_model, small_result

from jaxface.app import state
from jaxface.app.server import free_port
from jaxface.app.session import KEPT, Sessions
from jaxface.camera import rotation_from_euler
from jaxface.fitting import FitOptions, fit
from jaxface.model.store import save_model
from jaxface.pipelines.faces import finder
from jaxface.types import Status

CHROMIUM = shutil.which("chromium")
SWITCHES = (
    "--no-sandbox --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def head():
    """A small model, and a face of it in a photograph of noise."""
    model = small_model()
    result = small_result(yaw_deg=10.0)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    photograph = state.Photograph("noise.png", image, [small_landmarks(model, result)])
    return model, state.Face(photograph, 0, FitOptions(), result, 0.0034)


def posed(result, *pitch_yaw_roll):
    return replace(result, pose=replace(result.pose, rotation=rotation_from_euler(jnp.array(pitch_yaw_roll))))


@pytest.fixture(scope="module")
def found():
    with finder() as opened:
        yield opened


def test_a_photograph_is_read_with_its_faces(found, pair):
    photograph = state.read_photograph(pair, found)
    assert photograph.name == "pair.png" and len(photograph.faces) == 2 and photograph.largest == 0
    boxes = photograph.boxes()
    shown = np.asarray(Image.fromarray(photograph.image).resize(boxes.shape[1::-1]), int)
    changed = (np.abs(boxes - shown).max(axis=-1) > 60).any(axis=0)
    assert changed[: len(changed) // 2].any() and changed[len(changed) // 2 :].any()


def test_what_is_no_photograph_is_refused_by_its_name_alone(tmp_path, found, monkeypatch):
    (tmp_path / "notes.jpg").write_text("no image")
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "grey.png")
    for name, sentence in ("notes.jpg", "not an image in a format"), ("grey.png", "no face was found"):
        with pytest.raises(ValueError, match=f"^{name}: {sentence}"):
            state.read_photograph(tmp_path / name, found)
    monkeypatch.setattr(state, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(ValueError, match="^grey.png: more than"):
        state.read_photograph(tmp_path / "grey.png", found)


def test_a_fit_is_told_in_words_and_figures(head):
    _, face = head
    turned = replace(face, result=posed(face.result, -8.2, 24.6, 0.3))
    assert state.in_words(turned) == (
        "Fitted: a further iteration would not move the face. "
        "The face is turned 25° to the image's right, nose 8° down."
    )
    assert state.figures(turned) == {
        "yaw": "+24.6°",
        "pitch": "-8.2°",
        "roll": "+0.3°",
        "cost": "0.01 mm²",
        "time": "3.4 ms",
    }
    straight = replace(face, result=posed(face.result, 0.2, 0.0, 0.0))
    assert state.in_words(straight).endswith("The face is looking straight into the camera.")
    failed = replace(face, result=replace(face.result, status=jnp.int32(Status.DEGENERATE_LANDMARKS)))
    assert state.in_words(failed).startswith("Not fitted: the landmarks") and list(state.figures(failed)) == ["time"]


def test_a_change_replaces_what_it_names(head):
    _, face = head
    changed = state.changed(face.result, (1.0, 2.0, 3.0), (0.25,), {0: 1.5})
    np.testing.assert_allclose(changed.pose.euler_deg, [1, 2, 3], atol=1e-4)
    np.testing.assert_allclose(changed.identity, [0.25, face.result.identity[1]])
    np.testing.assert_allclose(changed.expression, [1.5])
    np.testing.assert_array_equal(state.changed(face.result, (0.0, 0.0, 0.0), (), {}).identity, face.result.identity)


def test_a_turned_head_is_drawn_where_it_turns_to(head):
    """The head is symmetric: turned the other way it is drawn as its mirror image. A dot on its nose goes where yaw,
    pitch and roll say."""
    model, face = head
    draw = lambda atlas, *angles: state.draw_head(model, posed(face.result, *angles), atlas, 200).astype(float)
    right, left = draw(None, 0.0, 35.0, 0.0), draw(None, 0.0, -35.0, 0.0)
    cover = lambda picture: (picture != state.GROUND).any(axis=-1)
    assert np.mean(cover(right) != cover(left)[:, ::-1]) < 0.01
    rows = cover(draw(None, 0.0, 0.0, 0.0)).any(axis=1).nonzero()[0]
    assert abs(np.ptp(rows) / 200 - state.HEAD_PART) < 0.05

    dotted = np.zeros((64, 64, 3), np.uint8)
    dotted[30:34, 14:18] = 255  # around uv = (0.25, 0.5), the front
    nose = lambda *angles: np.argwhere(draw(dotted, *angles)[..., 0] > 200).mean(axis=0) - 100
    np.testing.assert_allclose(nose(0.0, 0.0, 0.0), 0, atol=2)
    up_down, right_left = nose(20.0, 35.0, 0.0)
    assert up_down < -20 and right_left > 30
    rolled = nose(20.0, 0.0, 90.0)
    assert abs(rolled[0]) < 3 and rolled[1] > 15


def test_the_files_are_the_fit(head, tmp_path):
    model, face = head
    glb, archive, record = state.write_files(tmp_path, model, face)
    mesh = trimesh.load(glb, force="mesh")
    vertices = np.asarray(model.vertices(face.result.identity, face.result.expression))
    np.testing.assert_allclose(1000 * mesh.bounds, [vertices.min(axis=0), vertices.max(axis=0)], atol=1e-3)
    assert mesh.visual.material.baseColorTexture.size == (state.SAVED_ATLAS, state.SAVED_ATLAS)
    assert set(zipfile.ZipFile(archive).namelist()) == {"face.obj", "face.mtl", "face_texture.png"}
    told = json.loads(record.read_text())
    assert told["source"] == "noise.png" and told["options"]["solver"] == "structured"
    assert told["pose"]["yaw_deg"] == pytest.approx(10, abs=1e-3)


def test_other_options_fit_the_same_face(small, face, monkeypatch):
    landmarks, _ = face()
    photograph = state.Photograph("none", np.zeros((8, 8, 3), np.uint8), [landmarks])
    options = FitOptions("2d")
    first = state.fit_face(small, photograph, 0, options)
    took, fit_face = iter([60.0, 5.0, 1.0, 4.0, 2.0, 3.0]), state.fit_face  # the first compiles
    monkeypatch.setattr(state, "fit_face", lambda *given: replace(fit_face(*given), seconds=next(took)))
    again = state.timed(small, first, options)
    np.testing.assert_array_equal(again.result.identity, fit(small, landmarks, options).identity)
    assert again.seconds == 3.0


def test_a_session_leaves_nothing(tmp_path):
    sessions = Sessions(tmp_path)
    mine, other = sessions.of("../mine"), sessions.of("other")
    assert sessions.of("../mine") is mine and mine.folder.parent == tmp_path
    own, shared = tmp_path / "1" / "own.jpg", tmp_path / "2" / "shared.jpg"
    for path, users in (own, [mine]), (shared, [mine, other]):
        path.parent.mkdir()
        path.touch()
        for session in users:
            sessions.upload(session, path)
    pictures = [mine.jpeg("overlay", np.zeros((4, 4, 3), np.uint8)) for _ in range(KEPT + 2)]
    assert [path.exists() for path in pictures] == [False] * 2 + [True] * KEPT
    sessions.close("../mine")
    sessions.close("never opened")
    assert not own.exists() and shared.exists() and not mine.folder.exists() and other.folder.exists()
    sessions.close("other")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_photograph_that_waits_for_another_page_stays(tmp_path):
    """The same one that two pages were given is one file, as Gradio keeps it."""
    sessions = Sessions(tmp_path)
    photograph = tmp_path / "1" / "same.jpg"
    photograph.parent.mkdir()
    photograph.touch()
    sessions.upload(sessions.of("first"), photograph)
    os.utime(photograph, ns=(0, photograph.stat().st_mtime_ns + 1))  # written again, and not noted yet
    sessions.close("first")
    sessions.upload(sessions.of("second"), photograph)
    sessions.close("second")
    assert not photograph.exists()


def test_a_session_takes_no_other_file_with_it(tmp_path):
    sessions = Sessions(tmp_path)
    mine, other = sessions.of("mine"), sessions.of("other")
    example, picture = tmp_path / "example.png", other.jpeg("overlay", np.zeros((4, 4, 3), np.uint8))
    example.touch()
    for path in (tmp_path, other.folder, picture, example, tmp_path / "1" / "missing.jpg", tmp_path.parent):
        with pytest.raises(ValueError, match="no photograph that was given"):
            sessions.upload(mine, path)
    sessions.close("mine")
    assert picture.exists() and example.exists()


def test_wrong_usage_is_one_line(jaxface, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError):
            free_port("127.0.0.1", port)
        if find_spec("gradio") is not None:
            result = jaxface("app", "--port", port)
            assert result.exit_code == 2 and f"127.0.0.1 and {port}: cannot be served there" in result.stderr
            save_model("none.npz", replace(small_model(), landmarks={}))
            result = jaxface("app", "--model", "none.npz")
            assert result.exit_code == 2 and "--model: none.npz has no ibug68 landmarks" in result.stderr
            if find_spec("dlib") is not None:
                result = jaxface("app", "--detector", "dlib")
                assert result.exit_code == 2 and "--detector: astronaut.png: the detector gives 2D" in result.stderr
    assert free_port("127.0.0.1") >= 7860
    monkeypatch.setattr("jaxface.cli.app.find_spec", lambda name: None)
    result = jaxface("app")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and 'pip install "jaxface[app]"' in result.stderr


# --- in a browser ---

WATCHED = """
import sys
log = sys.argv.pop(1)
def watch(event, given):
    if event == "socket.getaddrinfo":
        host = given[0]
    elif event == "socket.connect" and isinstance(given[1], tuple):
        host = given[1][0]
    else:
        return
    if host not in (None, "127.0.0.1", "localhost", "::1"):
        with open(log, "a") as file:
            print(host, file=file)
sys.addaudithook(watch)
from jaxface.cli import app as page
from jaxface.cli.main import app
from jaxface.model import load_model
small = load_model(sys.argv.pop(1))
page.face_model = lambda *_: small
app()
"""
"""The command, in a process that writes down every other machine that it asks for, with a small embedded model."""


@pytest.fixture(scope="module", autouse=True)
def started(small, tmp_path_factory):
    """The page of a small model, which gets ready while other tests run: its process, folder and port."""
    if find_spec("gradio") is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("served")
    save_model(folder / "small.npz", small)
    (folder / "files").mkdir()
    arguments = ["app", "--port", free_port("127.0.0.1")]
    command = [sys.executable, "-c", WATCHED, folder / "others", folder / "small.npz", *arguments]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder / "files")}
    with open(folder / "errors", "w") as errors:
        process = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    yield process, folder
    process.terminate()
    process.wait(60)
    process.stdout.close()
    assert "Traceback" not in (folder / "errors").read_text()
    assert not list((folder / "files").glob("jaxface-app-*")) and not (folder / "others").exists()


@pytest.fixture(scope="module")
def served(started):
    """The page's address, and the folder that holds its files and what it asked ``others`` for."""
    if started is None:
        pytest.skip("needs gradio")
    process, folder = started
    said = process.stdout.readline()
    assert said.startswith("jaxface is at http://127.0.0.1:"), (folder / "errors").read_text()
    return said.split()[3], folder


@pytest.fixture
def page(served, photograph):
    """The page in a browser, which asks no other machine for anything and whose camera sees the demo photograph."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    asked, film = set(), photograph.with_suffix(".mjpeg")
    Image.open(photograph).convert("RGB").save(film, "JPEG")
    switches = [*SWITCHES.split(), f"--use-file-for-fake-video-capture={film}"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=switches)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda request: asked.add(urlsplit(request.url)))
        page.goto(served[0])
        page.wait_for_selector("#photo input[type=file]", state="attached")
        yield page
        browser.close()
    assert {url.hostname for url in asked if url.scheme not in ("data", "blob")} == {"127.0.0.1"}


def seen(page, selector):
    """The pixels of a part of the page."""
    return np.asarray(Image.open(BytesIO(page.locator(selector).screenshot())).convert("RGB"), int)


def until(done):
    """Wait until something is so."""
    end = time.monotonic() + WAIT_MS / 1000
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_photograph_becomes_a_head_that_can_be_changed(served, page, pair):
    give = lambda path: page.set_input_files("#photo input[type=file]", path)
    source = lambda: page.get_attribute("#drawn img", "src")
    give(pair)
    page.wait_for_selector("#overlay img")
    page.wait_for_selector("#head canvas")
    until(lambda: len(np.unique(seen(page, "#head canvas").reshape(-1, 3), axis=0)) > 1000)
    page.wait_for_selector("#drawn img")
    assert "face is turned" in page.inner_text("#figures") and "yaw" in page.inner_text("#figures")

    fitted, drawn = source(), seen(page, "#drawn img")
    page.locator("#yaw input[type=number]").fill("50")
    page.locator("#yaw input[type=number]").press("Enter")
    until(lambda: source() != fitted)
    until(lambda: np.mean(np.abs(seen(page, "#drawn img") - drawn).max(axis=-1) > 30) > 0.05)

    page.wait_for_selector("#glb:not([disabled])")
    with page.expect_download() as download:
        page.click("#glb")
    assert len(trimesh.load(download.value.path(), file_type="glb", force="mesh").vertices) > 4000

    overlay, drawn = page.get_attribute("#overlay img", "src"), source()
    page.locator("#which label").nth(1).click()
    until(lambda: page.get_attribute("#overlay img", "src") != overlay and source() != drawn)

    page.get_by_role("tab", name="How sure").click()
    page.locator("#unsure").scroll_into_view_if_needed()  # or its picture may wait to be loaded
    page.wait_for_selector("#unsure img")
    red, _, blue = np.moveaxis(seen(page, "#unsure img"), -1, 0)
    assert np.mean(red - blue > 60) > 0.005 and np.mean(blue - red > 60) > 0.005  # parts less sure, and surer

    page.get_by_role("tab", name="Compare").click()
    page.click("#compare")
    page.wait_for_selector("#table td")
    assert page.locator("#table tbody tr").count() == 2 and "structured" in page.inner_text("#table")

    notes = pair.parent / "notes.jpg"
    notes.write_text("no image")
    give(notes)
    until(lambda: "notes.jpg: not an image" in page.inner_text("#figures"))
    assert page.locator("#overlay img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    (root,) = (served[1] / "files").glob("jaxface-app-*")
    walked = lambda: [names for folder, _, names in os.walk(root) if folder != str(root)]
    kept = lambda: {Path(name).suffix for names in walked() for name in names}
    assert {".glb", ".jpg"} <= kept()
    page.close()
    until(lambda: not kept() & {".glb", ".jpg"})


def test_the_only_face_of_a_photograph_is_fitted_by_another_method(page, photograph):
    page.set_input_files("#photo input[type=file]", photograph)
    page.wait_for_selector("#overlay img")
    before = page.get_attribute("#overlay img", "src")
    page.get_by_text("Method").click()
    page.get_by_label("Loss").click()
    page.get_by_role("option", name="robust").click()
    until(lambda: page.get_attribute("#overlay img", "src") != before)
    page.wait_for_selector("#json:not([disabled])")
    with page.expect_download() as download:
        page.click("#json")
    assert json.loads(download.value.path().read_text())["options"]["loss"] == "robust"


def test_the_camera_s_picture_is_fitted_as_it_is(page, pixels):
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.readyState == 4")
    page.get_by_label("capture photo").click()
    page.wait_for_selector("#overlay img")
    assert "face is" in page.inner_text("#figures")
    taken = seen(page, "#photo img")
    shown = np.asarray(Image.fromarray(pixels).resize(taken.shape[1::-1]), int)
    assert np.abs(taken - shown).mean() < np.abs(taken - shown[:, ::-1]).mean() / 3


def test_no_last_choice_is_dropped_while_one_before_is_at_work(served):
    events = json.load(urlopen(f"{served[0]}config"))["dependencies"]
    dropping = {each["api_name"] for each in events if each["trigger_mode"] != "always_last"}
    assert dropping == {"compare", "leave", "load_example"}


def test_an_address_in_place_of_a_file_is_not_fetched(served):
    address, folder = served
    config = json.load(urlopen(f"{address}config"))
    (take,) = (each for each in config["dependencies"] if "take" in str(each["api_name"]))
    photo = {"path": "http://93.184.215.14/face.png", "meta": {"_type": "gradio.FileData"}}
    asked = {"data": [photo, "2d", "squared", "structured", 4], "fn_index": take["id"], "session_hash": "a"}
    ask = Request(f"{address}gradio_api/queue/join", json.dumps(asked).encode(), {"Content-Type": "application/json"})
    urlopen(ask).close()
    with urlopen(f"{address}gradio_api/queue/data?session_hash=a", timeout=30) as answers:
        events = [json.loads(line[6:]) for line in answers if line.startswith(b"data:")]
    (ended,) = (event for event in events if event["msg"] == "process_completed")
    assert not ended["success"] and "opens no connection" in ended["output"]["error"]
    assert not (folder / "others").exists()
