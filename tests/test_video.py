"""``jaxface video``: from a clip to the film, the rows and the heads that move, and a sentence for what is no clip."""

from fractions import Fraction
from pathlib import Path

import av
import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pygltflib import GLTF2
from small_model import small_model, small_result

from jaxface import camera
from jaxface.export.animation import write_animation
from jaxface.pipelines.frames import Video, record, writing

RATE = Fraction(25)


def clip(path: Path, pictures) -> Path:
    with writing(path, RATE) as add:
        for picture in pictures:
            add(picture)
    return path


def moving_crops(pixels, count: int, size=(320, 240)):
    """Crops of a photograph that move two pixels a frame, at half its size."""
    whole = Image.fromarray(pixels).resize((400, 400))
    for frame in range(count):
        left = 2 * frame
        yield np.asarray(whole.crop((left, 0, left + size[0], size[1])))


def plain(count: int, size=(120, 160), grey: int = 90):
    return [np.full((*size, 3), grey, np.uint8)] * count


def one_line(result, code: int) -> str:
    assert result.exit_code == code and result.stderr.count("\n") == 1 and "Traceback" not in result.output
    return result.stderr.strip()


class TestFrames:
    def test_what_is_written_is_read(self, tmp_path):
        ramp = [np.full((120, 161, 3), 40 + 20 * index, np.uint8) for index in range(8)]
        video = Video(clip(tmp_path / "ramp.mp4", ramp))
        read = list(video.frames())
        assert video.rate == RATE and video.problem is None and len(read) == 8
        for given, found in zip(ramp, read, strict=True):
            assert found.shape == (120, 160, 3)  # an odd side loses its last pixel
            assert np.abs(found.astype(int) - given[0, 0]).max() < 6
        assert [path.name for path in tmp_path.iterdir()] == ["ramp.mp4"]

    def test_a_video_that_breaks_off_gives_what_is_there(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 255, (40, 120, 160, 3)).astype(np.uint8)
        with av.open(str(tmp_path / "whole.avi"), "w") as container:
            stream = container.add_stream("mpeg4", rate=RATE, width=160, height=120)
            for picture in noise:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        whole = (tmp_path / "whole.avi").read_bytes()
        (tmp_path / "part.avi").write_bytes(whole[: len(whole) // 2])
        video = Video(tmp_path / "part.avi")
        read = len(list(video.frames()))
        assert 5 < read < 40 and video.problem == f"{tmp_path / 'part.avi'}: breaks off after {read} frames"

    def test_frames_of_another_size_are_fitted_into_the_first(self, tmp_path):
        content = b""
        for size in ((120, 160), (240, 160)):
            path = tmp_path / f"{size[0]}.h264"
            with av.open(str(path), "w") as container:
                stream = container.add_stream("h264", rate=RATE, width=size[1], height=size[0])
                stream.pix_fmt = "yuv420p"
                for picture in plain(5, size, 200):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode())
            content += path.read_bytes()
        (tmp_path / "both.h264").write_bytes(content)
        read = list(Video(tmp_path / "both.h264").frames())
        assert len(read) == 10 and {picture.shape for picture in read} == {(120, 160, 3)}
        assert read[-1][60, 80].min() > 180 and read[-1][60, 5].max() < 20  # its sides are bars

    def test_a_film_that_fails_leaves_nothing(self, tmp_path):
        with pytest.raises(RuntimeError, match="enough"), writing(tmp_path / "film.mp4", RATE) as add:
            add(plain(1)[0])
            raise RuntimeError("enough")
        assert not list(tmp_path.iterdir())

    def test_a_camera_is_recorded_until_it_ends(self, tmp_path, monkeypatch):
        import cv2

        class Camera:
            left = 6

            def __init__(self, number):
                assert number == 3

            def get(self, _):
                return 25.0

            def read(self):
                self.left -= 1
                return self.left >= 0, plain(1)[0]

            def release(self):
                pass

        monkeypatch.setattr(cv2, "VideoCapture", Camera)
        record(3, tmp_path / "camera.mp4", 100.0)
        assert len(list(Video(tmp_path / "camera.mp4").frames())) == 6


class TestAnimation:
    @pytest.fixture
    def scene(self, tmp_path):
        model = small_model()
        angles = jnp.array([[0.0, yaw, 0.0] for yaw in (-40.0, 0.0, 10.0, 40.0)])
        still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), small_result())
        pose = type(still.pose)(still.pose.scale, camera.rotation_from_euler(angles), still.pose.translation)
        result = type(still)(
            **{name: getattr(still, name) for name in still.__dataclass_fields__}
            | {"pose": pose, "expression": jnp.array([[0.0], [0.5], [9.0], [1.0]]), "status": jnp.array([0, 0, 2, 1])}
        )
        write_animation(tmp_path / "head.glb", model, result, np.arange(4) / 25)
        return model, GLTF2.load_binary(str(tmp_path / "head.glb"))

    @staticmethod
    def values(scene, number):
        accessor = scene.accessors[number]
        view = scene.bufferViews[accessor.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        start = view.byteOffset + (accessor.byteOffset or 0)
        flat = np.frombuffer(scene.binary_blob(), np.float32, width * accessor.count, start)
        assert view.byteLength == 4 * flat.size and start % 4 == 0
        found = flat.reshape(-1, width)
        np.testing.assert_allclose(accessor.min, found.min(axis=0))
        np.testing.assert_allclose(accessor.max, found.max(axis=0))
        return found

    def test_plays_the_fitted_frames(self, scene):
        model, scene = scene
        (animation,) = scene.animations
        times = [self.values(scene, sampler.input) for sampler in animation.samplers]
        for each in times:
            np.testing.assert_allclose(each[:, 0], [0, 0.04, 0.12])  # the third frame has no fit
        tracks = {
            channel.target.path: self.values(scene, animation.samplers[channel.sampler].output)
            for channel in animation.channels
        }
        np.testing.assert_allclose(tracks["weights"][:, 0], [0, 0.5, 1])
        half = np.deg2rad([-40, 0, 40]) / 2  # yaw > 0 turns the nose to the viewer's right: about +y
        expected = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], axis=1)
        np.testing.assert_allclose(np.abs(np.sum(tracks["rotation"] * expected, axis=1)), 1, atol=1e-6)
        np.testing.assert_allclose(tracks["translation"], 0, atol=1e-6)

    def test_morphs_the_face_as_the_model_does(self, scene):
        model, scene = scene
        (mesh,) = scene.meshes
        assert mesh.extras["targetNames"] == ["pout"] and len(mesh.weights) == 1
        (primitive,) = mesh.primitives
        moved = self.values(scene, primitive.targets[0]["POSITION"])
        np.testing.assert_allclose(moved, 1e-3 * model.expression[..., 0], atol=1e-7)
        rest = model.vertices(jnp.array([0.5, -0.3]), jnp.zeros(1))
        np.testing.assert_allclose(self.values(scene, primitive.attributes.POSITION), 1e-3 * rest, atol=1e-6)


class TestCommand:
    def test_follows_fits_and_writes(self, jaxface, tmp_path, pixels):
        empty = plain(2, (240, 320))
        clip(tmp_path / "clip.mp4", [*moving_crops(pixels, 10), *empty, *moving_crops(pixels, 10)])
        result = jaxface("video", "clip.mp4", "-o", "out")
        assert result.exit_code == 0, result.output
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"overlay.mp4", "faces.parquet", "person-1.glb"}
        rows = pq.read_table(tmp_path / "out" / "faces.parquet").to_pylist()
        assert [row["frame"] for row in rows] == list(range(22))
        assert [row["frame"] for row in rows if row["error"]] == [10, 11]
        shown = [row for row in rows if not row["error"]]
        assert {row["face"] for row in shown} == {0} and len({tuple(row["identity"]) for row in shown}) == 1
        across = np.array([row["translation_px"][0] for row in shown])
        np.testing.assert_allclose(np.diff(across)[[*range(3, 7), *range(13, 17)]], -2, atol=0.5)
        film = list(Video(tmp_path / "out" / "overlay.mp4").frames())
        given = list(Video(tmp_path / "clip.mp4").frames())
        changed = [np.abs(a.astype(int) - b).mean() for a, b in zip(film, given, strict=True)]
        assert min(changed[:10]) > 4 > max(changed[10:12])

    def test_one_frame_is_a_video(self, jaxface, tmp_path, pixels):
        clip(tmp_path / "one.mp4", moving_crops(pixels, 1))
        result = jaxface("video", "one.mp4", "-o", "out", "-f", "parquet,glb")
        assert result.exit_code == 0, result.output
        assert GLTF2.load_binary(str(tmp_path / "out" / "person-1.glb")).animations

    def test_bad_videos(self, jaxface, tmp_path, monkeypatch):
        clip(tmp_path / "plain.mp4", plain(3))
        whole = (tmp_path / "plain.mp4").read_bytes()
        (tmp_path / "part.mp4").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "text.mp4").write_text("no video")
        (tmp_path / "none.mp4").write_bytes(b"")
        said = {
            "plain.mp4": "plain.mp4: no face was found in its 3 frames",
            "part.mp4": "part.mp4: not a video that can be read, or a part of it",
            "text.mp4": "text.mp4: not a video that can be read, or a part of it",
            "none.mp4": "none.mp4: the file is empty",
            "gone.mp4": "gone.mp4: no such file",
            ".": ".: a folder; give a video file",
        }
        for source, sentence in said.items():
            assert one_line(jaxface("video", source, "-o", "out"), 1).startswith(sentence)
        assert not (tmp_path / "out").exists()
        assert "no-such" in one_line(jaxface("video", "plain.mp4", "--detector", "no-such"), 2)
        assert "'x' is not one of" in one_line(jaxface("video", "plain.mp4", "-f", "x"), 2)
