import socket
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

import jaxface
from jaxface.detection import NAMES, detect, dlib, fan, read_image, read_landmarks
from jaxface.detection.faces import flat, has_depth, lies_in
from jaxface.detection.networks import Seen
from jaxface.detection.registry import opened
from jaxface.detection.scores import likelihood, scorer
from jaxface.model.correspondences import IBUG68_MIRROR, INNER, JAW
from jaxface.types import Landmarks


@pytest.fixture(scope="module")
def found(pixels):
    (face,) = detect(pixels)
    return face


@pytest.fixture
def no_connection(monkeypatch):
    def refused(*arguments, **options):
        raise AssertionError(f"a connection is opened: {arguments}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def needs(*packages):
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


needs_dlib = needs("dlib", "face_recognition_models")
needs_fan = needs("torch", "face_alignment")


def test_a_detector_is_chosen_by_name(pixels, found):
    (face,) = jaxface.detect(pixels, detector="mediapipe")
    np.testing.assert_array_equal(face.xy, found.xy)
    with pytest.raises(ValueError, match="detector='mtcnn': takes one of .*-averaged, dlib, dlib.mediapipe, fan"):
        detect(pixels, detector="mtcnn")


def test_averaged_looks_agree_with_those_at_the_mirror_image(pixels):
    image, apart, points = pixels[:300], {}, {}
    for name in ("mediapipe", "mediapipe-averaged"):
        (face,) = detect(image, detector=name)
        (across,) = detect(np.ascontiguousarray(image[:, ::-1]), detector=name)
        mirrored = across.xyz[IBUG68_MIRROR] * [-1, 1, 1] + [image.shape[1], 0, 0]
        apart[name] = np.linalg.norm(face.xyz - mirrored, axis=1).mean()
        points[name] = face.xyz
    assert apart["mediapipe-averaged"] < 0.25 * apart["mediapipe"]
    assert np.linalg.norm(points["mediapipe-averaged"] - points["mediapipe"], axis=1).mean() < 2


def test_an_installed_package_adds_a_detector(tmp_path, monkeypatch, pixels):
    (tmp_path / "corners.py").write_text(
        "import numpy as np\n"
        "from jaxface import Landmarks\n"
        "closed = []\n"
        "class Corners:\n"
        "    def __init__(self, scheme):\n"
        "        self.scheme = scheme\n"
        "    def detect(self, image):\n"
        "        xyz = np.full((68, 3), len(image), np.float32)\n"
        "        return [Landmarks(xyz[:, :2], xyz, scheme=self.scheme)]\n"
        "    def close(self):\n"
        "        closed.append(self.scheme)\n"
    )
    info = tmp_path / "corners-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corners\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[jaxface.detectors]\ncorners = corners:Corners\nmediapipe = corners:Corners\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (face,) = jaxface.detect(pixels, detector="corners")
    assert face.xy[0, 0] == len(pixels)
    assert sys.modules["corners"].closed == ["ibug68"]
    (face,) = jaxface.detect(pixels)  # a name of this package is not another's to take
    assert face.xy[0, 0] != len(pixels)
    with pytest.raises(ValueError, match="takes one of .*corners"):
        detect(pixels, detector="nothing")
    with pytest.raises(KeyError), opened("corners"):
        raise KeyError
    assert len(sys.modules["corners"].closed) == 2


@pytest.mark.parametrize(
    "name, missing, says",
    [
        ("dlib", "dlib", "the package dlib-bin: pip install 'jaxface.dlib.'"),
        ("dlib+mediapipe", "dlib", "the package dlib-bin"),
        ("fan", "face_alignment", "the package face-alignment .*: pip install 'jaxface.fan.'"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, pixels, name, missing, says):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=f"the detector {missing.split('_')[0].replace('face', 'fan')} needs {says}"):
        detect(pixels, detector=name)


def test_what_opencv_lacks_is_named(monkeypatch, pixels):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"needs OpenCV, .*cv2.* apt-get install libgl1 libglib2.0-0"):
        detect(pixels)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("mediapipe")])
def test_detectors_of_68_points_give_no_others(pixels, name):
    with pytest.raises(ValueError, match="scheme='mediapipe478': the detector .* gives ibug68"):
        detect(pixels, "mediapipe478", name)


@needs_dlib
def test_dlib_sees_what_mediapipe_sees(pixels, found):
    (alone,) = detect(pixels, detector="dlib")
    (both,) = detect(pixels, detector="dlib+mediapipe")
    assert not has_depth(alone) and has_depth(both)
    np.testing.assert_array_equal(both.xyz, found.xyz)
    eyes = np.linalg.norm(found.xy[36] - found.xy[45])
    for face in alone, both:
        assert face.xy.shape == (68, 2) and face.xy.dtype == np.float32
        assert np.linalg.norm(face.xy - found.xy, axis=-1)[INNER].mean() < 0.06 * eyes
    turned = np.ascontiguousarray(pixels[:, ::-1])
    left, right = detect(np.concatenate([pixels, turned], axis=1), detector="dlib")
    assert left.xy[30, 0] < 512 < right.xy[30, 0]
    assert detect(np.full((90, 120, 3), 90, np.uint8), detector="dlib") == []


@needs_dlib
def test_dlib_is_nearer_to_points_marked_by_hand(shared):
    (marked,) = read_landmarks(shared / "photos" / "image_0010.pts")
    image = read_image(shared / "photos" / "image_0010.png")
    errors = {}
    for name in ("mediapipe", "mediapipe-averaged", "dlib", "dlib+mediapipe"):
        (face,) = detect(image, detector=name)
        error = np.linalg.norm(face.xy - marked.xy, axis=-1) / np.linalg.norm(marked.xy[36] - marked.xy[45])
        errors[name] = error[INNER].mean()
        print(f"{name}: inner points {error[INNER].mean():.4f}, contour {error[JAW].mean():.4f}")
        assert error[INNER].mean() < 0.04 and error[JAW].mean() < 0.07
    assert max(errors["dlib"], errors["dlib+mediapipe"]) < 0.7 * errors["mediapipe"]


def test_pixels_of_other_detectors_are_their_middles_and_depth_leads_away():
    """dlib and FAN give the number of the pixel that a point falls in, FAN's z leads to the viewer."""
    np.testing.assert_array_equal(fan._in_our_frame(np.array([[3.0, 4.0, 5.0]])), [[3.5, 4.5, -5.0]])
    np.testing.assert_array_equal(fan._in_our_frame(np.array([[3.0, 4.0]])), [[3.5, 4.5]])
    shape = SimpleNamespace(parts=lambda: [SimpleNamespace(x=3, y=4)])
    np.testing.assert_array_equal(dlib._points(shape), [[3.5, 4.5]])


@needs_fan
def test_fan_without_its_weights_says_where_they_go_and_asks_nobody(tmp_path, monkeypatch, pixels, no_connection):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="weights, which jaxface does not download: put https.* into ") as raised:
        detect(pixels, detector="fan")
    assert str(raised.value).endswith(str(tmp_path / "hub" / "checkpoints"))
    assert str(raised.value).count("https://") == 3
    assert list(tmp_path.iterdir()) == []


@needs_fan
@pytest.mark.filterwarnings("default")  # of numba and torch
def test_fan_loads_its_weights_and_gives_points_in_our_frame(tmp_path, monkeypatch, pixels, found, no_connection):
    """Stand-ins of the networks' signatures: every point is where the photograph is brightest, and as deep as it is
    bright where its heat map says it is."""
    import torch
    from face_alignment import api

    class Brightest(torch.nn.Module):
        def __init__(self, modules):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.zeros(modules))

        def forward(self, crops):
            grey = torch.nn.functional.avg_pool2d(crops.mean(dim=1, keepdim=True), 4)
            return [self.gain[0] * grey.expand(-1, 68, -1, -1)]

    class Depth(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.zeros(()))

        def forward(self, crops):
            return self.gain * crops[:, 3:].amax(dim=(2, 3))

    monkeypatch.setattr(api, "FAN", Brightest)
    monkeypatch.setattr(api, "ResNetDepth", Depth)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name, gain in ("2DFAN-4", torch.ones(4)), ("3DFAN-4", torch.ones(4)):
        torch.save({"gain": gain}, folder / api.models_urls[name].rsplit("/", 1)[1])
    depth = folder / api.models_urls["depth"].rsplit("/", 1)[1]
    torch.save({"state_dict": {"module.gain": torch.tensor(40.0)}}, depth)

    x, y = 240, 120
    image = pixels // 4
    image[y - 3 : y + 4, x - 3 : x + 4] = 255
    monkeypatch.setattr("jaxface.detection.mediapipe.MediaPipe.detect", lambda *arguments: [found])
    (face,) = detect(image, detector="fan")
    assert face.xy.shape == (68, 2) and face.xyz.shape == (68, 3) and face.xy.dtype == face.xyz.dtype == np.float32
    assert np.abs(face.xy - (x + 0.5, y + 0.5)).max() < 2
    np.testing.assert_array_equal(face.xy, face.xyz[:, :2])
    assert (face.xyz[:, 2] < 0).all()  # the network's depth grows towards the viewer, ours away
    monkeypatch.setattr("jaxface.detection.mediapipe.MediaPipe.detect", lambda *arguments: [])
    assert detect(image, detector="fan") == []


def test_points_that_extend_over_two_photographs_are_of_no_face_in_one():
    image = np.zeros((30, 40, 3), np.uint8)
    across = lambda width: flat(np.linspace((1, 1), (1 + width, 20), 68))
    assert lies_in(across(79), image) and not lies_in(across(81), image)


def test_a_likelihood_is_that_of_the_look_between_the_others():
    look = lambda score: Seen(score, np.zeros(2), 1.0, np.zeros((6, 2)))
    assert likelihood([look(0.9), look(0.2), look(0.4)]) == 0.4 and likelihood([look(0.9), None, None]) == 0.0


def test_a_face_has_a_high_score_and_what_is_none_a_low_one(pixels, found):
    from skimage import data

    rng = np.random.default_rng(0)
    score = scorer()
    assert score(pixels, found) > 0.85
    small = Landmarks(found.xy / 8, found.xyz / 8)
    assert score(np.ascontiguousarray(pixels[::8, ::8]), small) > 0.6
    for image in data.coffee(), data.rocket(), np.full((300, 300, 3), 128, np.uint8):
        height, width = image.shape[:2]
        for _ in range(10):
            shift = rng.uniform(0, (width - 100, height - 100))
            moved = found.xy - found.xy.min(axis=0) + shift
            assert score(image, Landmarks(moved.astype(np.float32), found.xyz)) < 0.6
    for away in found.xy + 5000, found.xy - 5000, found.xy * 1e4:
        assert score(pixels, Landmarks(away.astype(np.float32), found.xyz)) == 0
