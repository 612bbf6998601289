"""``jaxface video``: from a clip to the film, the rows and the heads that move, and a sentence for what is no clip."""

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from gltf_values import values
from PIL import Image
from pygltflib import GLTF2
from small_model import small_landmarks, small_model, small_result

from jaxface import camera
from jaxface.fitting import FitOptions
from jaxface.pipelines.frames import Video, record, writing
from jaxface.pipelines.video import Person, VideoReport, _draw, _followed, _lasting, fit_video
from jaxface.types import Landmarks

RATE = Fraction(25)


TICK = Fraction(1, 1000)


def clip(path: Path, pictures, times=None) -> Path:
    """A film at ``RATE``, or with frames at such times."""
    with writing(path, RATE, TICK if times else 1 / RATE) as add:
        for index, picture in enumerate(pictures):
            add(picture, times[index] if times else index / RATE)
    return path


def moving_crops(pixels, count: int, size=(320, 240)):
    """Crops of a photograph that move two pixels a frame, at half its size."""
    whole = Image.fromarray(pixels).resize((400, 400))
    for frame in range(count):
        left = 2 * frame
        yield np.asarray(whole.crop((left, 0, left + size[0], size[1])))


def plain(count: int, size=(120, 160), grey: int = 90):
    return [np.full((*size, 3), grey, np.uint8)] * count


def encoded(path: Path, pictures, codec="mpeg4", rate=RATE, sound_s=0, aspect=1) -> Path:
    """A video of another kind than ``clip``'s, with so many seconds of silence and pixels of such an aspect."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=rate, width=160, height=120)
        stream.codec_context.sample_aspect_ratio = aspect
        sound = container.add_stream("aac", rate=8000) if sound_s else None
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * sound_s), np.float32), "fltp", "mono")
            silence.sample_rate = 8000
            container.mux([*sound.encode(silence), *sound.encode()])
    return path


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

    def test_a_name_may_hold_a_time_of_day(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("12:30").mkdir()
        clip(Path("12:30/clip.mp4"), plain(2)).rename("12:31.mp4")
        assert len(list(Video(Path("12:31.mp4")).frames())) == 2

    @pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv"])  # two count their frames, one says how long it is
    def test_a_video_that_breaks_off_gives_what_is_there(self, tmp_path, suffix):
        noise = np.random.default_rng(0).integers(0, 255, (40, 120, 160, 3)).astype(np.uint8)
        encoded(tmp_path / f"whole.{suffix}", noise)
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        part = tmp_path / f"part.{suffix}"
        part.write_bytes(whole[: len(whole) // 2])
        video = Video(part)
        read = len(list(video.frames()))
        assert 5 < read < 40 and video.problem == f"{part}: breaks off after {read} frames"

    @pytest.mark.parametrize(
        "name, made",
        [
            ("sound.mkv", {"sound_s": 3}),
            ("slow.mkv", {"rate": Fraction(1, 2)}),
            ("last_frame_unsaid.flv", {"codec": "flv1", "rate": Fraction(1)}),
            ("no_times.m1v", {"codec": "mpeg1video"}),
            ("rounded_to_ms.mkv", {"rate": Fraction(30)}),
        ],
    )
    def test_a_whole_video_does_not_break_off(self, tmp_path, name, made):
        video = Video(encoded(tmp_path / name, plain(5), **made))
        assert len(list(video.frames())) == 5 and video.problem is None
        assert video.times == [index / video.rate for index in range(5)] and video.tick == 1 / video.rate

    def test_frames_keep_their_times(self, tmp_path):
        times = [Fraction(ms, 1000) for ms in (0, 40, 80, 1000, 1040, 2500)]
        video = Video(clip(tmp_path / "uneven.mp4", plain(6), times))
        with av.open(str(video.path)) as container:
            assert [frame.time for frame in container.decode(video=0)] == pytest.approx([float(at) for at in times])
        assert len(list(video.frames())) == 6
        assert video.times == times and TICK % video.tick == 0

    def test_frames_closer_than_a_tick_are_written_one_after_the_other(self, tmp_path):
        video = Video(clip(tmp_path / "close.mp4", plain(3), [k * TICK / 10 for k in range(3)]))
        assert len(list(video.frames())) == 3 and video.times == [0, TICK, 2 * TICK]

    def test_frames_go_by_the_rate_where_their_times_do_not_rise(self, tmp_path):
        path = encoded(tmp_path / "twice.ts", plain(5), codec="mpeg2video")
        path.write_bytes(2 * path.read_bytes())
        video = Video(path)
        assert len(list(video.frames())) == 10
        assert video.times == [index / RATE for index in range(10)]

    @pytest.mark.parametrize("start", [0.0, 0.2, 0.8])  # 0.8 s: a key frame and all before it are hidden
    def test_a_trimmed_video_does_not_break_off_unless_it_is_cut(self, tmp_path, start):
        noise = np.random.default_rng(0).integers(0, 255, (50, 120, 160, 3)).astype(np.uint8)
        content = bytearray(encoded(tmp_path / "clip.mp4", noise).read_bytes())
        first = content.index(b"elst") + 12  # its length in ms, and where it starts in ticks
        content[first : first + 8] = struct.pack(">2i", 1000, round(start * 12800))
        for name, kept in (("trimmed.mp4", len(content)), ("cut.mp4", int(len(content) * (start + 0.5) / 2))):
            (tmp_path / name).write_bytes(content[:kept])
        trimmed, cut = Video(tmp_path / "trimmed.mp4"), Video(tmp_path / "cut.mp4")
        assert len(list(trimmed.frames())) == 25 and trimmed.problem is None
        assert len(list(cut.frames())) < 25 and "breaks off" in cut.problem

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

    @pytest.mark.parametrize("aspect, width", [(Fraction(4, 3), 213), (Fraction(8, 9), 142), (Fraction(2), 320)])
    def test_pixels_that_are_not_square_are_made_so(self, tmp_path, aspect, width):
        half = plain(1)[0].copy()
        half[:, 80:] = 200
        (read,) = Video(encoded(tmp_path / "clip.mp4", [half], aspect=aspect)).frames()
        assert read.shape == (120, width, 3)
        assert abs(np.searchsorted(read[60, :, 0], 145) - width / 2) <= 2

    @pytest.mark.parametrize(
        "matrix, shown",
        [
            ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
            ((-1, 0, 0, -1), lambda picture: picture[::-1, ::-1]),
            ((0, -1, 1, 0), lambda picture: np.rot90(picture)),
            ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),
            ((1, 0, 0, -1), lambda picture: picture[::-1]),
            ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
        ],
    )
    def test_a_display_matrix_turns_and_mirrors(self, tmp_path, matrix, shown):
        stored = np.kron([[40, 90], [140, 190]], np.ones((60, 80)))[..., None].repeat(3, axis=2).astype(np.uint8)
        content = bytearray(clip(tmp_path / "clip.mp4", [stored]).read_bytes())
        start = content.index(b"tkhd") + 44
        across, down = matrix[:2], matrix[2:]
        content[start : start + 36] = struct.pack(">9i", *(65536 * np.array([*across, 0, *down, 0, 0, 0, 16384])))
        (tmp_path / "clip.mp4").write_bytes(content)
        (read,) = Video(tmp_path / "clip.mp4").frames()
        assert np.abs(read.astype(int) - shown(stored)).mean() < 5

    def test_a_film_that_fails_leaves_nothing(self, tmp_path):
        with pytest.raises(RuntimeError, match="enough"), writing(tmp_path / "film.mp4", RATE, TICK) as add:
            add(plain(1)[0], Fraction(0))
            raise RuntimeError("enough")
        assert not list(tmp_path.iterdir())

    def test_a_camera_is_recorded_until_it_ends_at_the_pace_that_it_has(self, tmp_path, monkeypatch):
        import cv2

        class Camera:
            left, now = 6, 50.0

            def __init__(self, number):
                assert number == 3

            def get(self, _):
                return 25.0

            def read(self):
                self.left -= 1
                Camera.now += 0.25 if self.left % 2 else 0.125  # though it tells 25 frames a second
                return self.left >= 0, plain(1)[0]

            def release(self):
                pass

        monkeypatch.setattr(cv2, "VideoCapture", Camera)
        monkeypatch.setattr("jaxface.pipelines.frames.monotonic", lambda: Camera.now)
        record(3, tmp_path / "camera.mp4", 100.0)
        video = Video(tmp_path / "camera.mp4")
        assert len(list(video.frames())) == 6 and video.times == [0, 0.125, 0.375, 0.5, 0.75, 0.875]

    @pytest.mark.parametrize("number", [10**20, 12345])
    def test_a_camera_that_is_not_there_cannot_be_opened(self, tmp_path, number):
        with pytest.raises(ValueError, match=f"^camera {number}: cannot be opened"):
            record(number, tmp_path / "camera.mp4", 1.0)
        assert not list(tmp_path.iterdir())


class TestPeople:
    """Of a detector that sees one face in every frame that is not dark."""

    class Seer:
        def __init__(self, depth=9.0):
            self._points = np.array([[50, 50, 0], [90, 90, depth], [50, 90, 0], [90, 50, 0]] * 17, np.float32)

        def detect(self, image):
            return [Landmarks(self._points[:, :2], self._points)] if image.mean() > 50 else []

        def close(self):
            pass

    @pytest.mark.parametrize("rate", [Fraction(1, 2), RATE])
    def test_who_is_seen_in_every_frame_is_one_person(self, tmp_path, rate):
        video = Video(encoded(tmp_path / "clip.mkv", plain(5), rate=rate))
        found = _followed(video, self.Seer(), True, VideoReport(), lambda *_: None)
        assert [person.frames for person in found] == [[0, 1, 2, 3, 4]]

    def test_who_is_there_is_told_by_the_time_not_by_the_number_of_frames(self, tmp_path):
        times = [Fraction(ms, 1000) for ms in (0, 20, 40, 60, 1500, 1750)]
        video = Video(clip(tmp_path / "clip.mp4", [*plain(3), *plain(1, grey=0), *plain(2)], times))
        seen = _followed(video, self.Seer(), True, VideoReport(), lambda *_: None)
        (lasting,) = _lasting(seen, video)
        assert lasting.frames == [4, 5]  # the others are there for 60 ms, and 1.46 s before
        brief = clip(tmp_path / "brief.mp4", [*plain(3), *plain(20, grey=0)])
        report = fit_video(brief, tmp_path / "out", small_model(), self.Seer(), FitOptions(), 1.0, ("parquet",))
        assert report.error == f"{brief}: no face was seen for 0.2 s in its 23 frames"

    def test_two_people_are_two_and_who_jumps_is_another(self, tmp_path):
        class Pair(self.Seer):
            def detect(self, image):
                places = (0, 100) if image.mean() > 150 else (60, 100)  # in a darker frame the first is elsewhere
                return [Landmarks(self._points[:, :2] + x, self._points + np.float32([x, x, 0])) for x in places]

            def follow(self, image, face):
                return min(self.detect(image), key=lambda other: np.abs(other.xy - face.xy).max())

        video = Video(clip(tmp_path / "clip.mp4", [*plain(6, grey=200), *plain(6)]))
        found = _followed(video, Pair(), True, VideoReport(), lambda *_: None)
        assert [person.frames for person in found] == [[*range(6)], [*range(12)], [*range(6, 12)]]

    def test_2d_points_are_refused_but_of_the_variant_2d(self, tmp_path):
        path, flat = clip(tmp_path / "clip.mp4", plain(2)), self.Seer(depth=0.0)
        report = fit_video(path, tmp_path / "out", small_model(), flat, FitOptions(), 1.0, ("parquet",))
        assert report.error.startswith(f"{path}: the detector gives 2D points only; the variant 2d fits these")
        assert not (tmp_path / "out").exists() and not report.people
        (person,) = _followed(Video(path), flat, False, VideoReport(), lambda *_: None)
        assert person.frames == [0, 1]

    def test_who_looks_down_looks_less_straight_than_who_turns_less_far(self):
        angles = jnp.array([[-19.0, -1.0, 0.0], [-1.0, 8.0, 30.0], [0.0, 0.0, 0.0]])
        still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), small_result())
        pose = replace(still.pose, rotation=camera.rotation_from_euler(angles))
        person = Person([5, 6, 7])
        person.result = replace(still, pose=pose, status=jnp.array([0, 0, 2]))  # the last has no fit
        assert person.frontal == 6
        assert [frame for frame in range(10) if person.at(frame) is not None] == [5, 6]


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

    def test_one_frame_is_a_video_and_no_person_of_an_earlier_one_is_left(self, jaxface, tmp_path, pixels):
        clip(tmp_path / "one.mp4", moving_crops(pixels, 1))
        kept = {"person-0.glb", "person-02.glb", "person-2.glb.bak", "person-me.glb", "person-3.obj"}
        (tmp_path / "out" / "person-4.glb").mkdir(parents=True)
        for name in ("person-2.glb", "person-11.glb", *kept):  # an earlier video's people, and what is another's
            (tmp_path / "out" / name).touch()
        result = jaxface("video", "one.mp4", "-o", "out", "-f", "parquet,glb")
        assert result.exit_code == 0, result.output
        assert GLTF2.load_binary(str(tmp_path / "out" / "person-1.glb")).animations
        written = {"person-1.glb", "person-4.glb", "faces.parquet"}
        assert {path.name for path in (tmp_path / "out").iterdir()} == written | kept

    def test_the_film_and_the_heads_keep_the_times_of_the_video(self, jaxface, tmp_path, pixels):
        times = [Fraction(ms, 1000) for ms in (0, 40, 80, 1000, 1040)]
        clip(tmp_path / "clip.mp4", [*plain(1, (240, 320)), *moving_crops(pixels, 4)], times)
        result = jaxface("video", "clip.mp4", "-o", "out", "-f", "overlay,glb")
        assert result.exit_code == 0, result.output
        film = Video(tmp_path / "out" / "overlay.mp4")
        assert len(list(film.frames())) == 5 and film.times == times
        scene = GLTF2.load_binary(str(tmp_path / "out" / "person-1.glb"))
        keys = values(scene, scene.animations[0].samplers[0].input)
        np.testing.assert_allclose(keys[:, 0], [0.04, 0.08, 1, 1.04], rtol=1e-6)

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
        (tmp_path / "plain.mp4").rename(tmp_path / "overlay.mp4")
        kept = one_line(jaxface("video", "overlay.mp4", "-o", "."), 1)
        assert kept == "overlay.mp4: its results would replace it; give another folder for them"
        (tmp_path / "overlay.mp4").rename(tmp_path / "plain.mp4")
        assert "no-such" in one_line(jaxface("video", "plain.mp4", "--detector", "no-such"), 2)
        assert "'x' is not one of" in one_line(jaxface("video", "plain.mp4", "-f", "x"), 2)


def test_the_texture_is_of_the_frame_that_looks_most_straight(tmp_path, monkeypatch):
    angles = jnp.array([[0.0, 30, 0], [0, 5, 0], [0, -40, 0]])
    still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), small_result())
    person, textures = Person([1, 2, 3]), [None]
    person.result = replace(still, pose=replace(still.pose, rotation=camera.rotation_from_euler(angles)))
    monkeypatch.setattr("jaxface.pipelines.video.bake", lambda frame, *_: frame.mean())
    video = Video(clip(tmp_path / "clip.mp4", [plain(1, grey=40 * index)[0] for index in range(5)]))
    _draw([person], video, range(5), None, True, textures, None, lambda *_: None)
    assert abs(textures[0] - 80) < 6


def test_two_people_of_a_video_that_breaks_off_are_told_apart_and_it_is_said(tmp_path):
    model = small_model()
    faces = [small_landmarks(model, small_result(centre=(x, 200.0))) for x in (200.0, 700.0)]
    faces = [jax.tree.map(np.asarray, face) for face in faces]
    pair = SimpleNamespace(detect=lambda image: faces, follow=lambda image, face: face, close=lambda: None)
    noise = np.random.default_rng(0).integers(0, 255, (40, 120, 160, 3)).astype(np.uint8)
    whole = encoded(tmp_path / "whole.avi", noise).read_bytes()
    (tmp_path / "part.avi").write_bytes(whole[: len(whole) // 2])
    report = fit_video(tmp_path / "part.avi", tmp_path / "out", model, pair, FitOptions(), 1.0, ("parquet",))
    assert report.error.endswith(f"part.avi: breaks off after {report.frames} frames")
    rows = pq.read_table(tmp_path / "out" / "faces.parquet")
    assert rows["face"].to_pylist() == [0, 1] * report.frames
    across = np.array(rows["translation_px"].to_pylist())[:, 0].reshape(-1, 2)
    np.testing.assert_allclose(across, [[202, 702]] * len(across), atol=5)
