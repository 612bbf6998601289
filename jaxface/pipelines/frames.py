"""Videos as frames (H, W, 3) uint8 RGB: files by PyAV, a camera by OpenCV, which MediaPipe brings along."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from time import monotonic

import numpy as np

from jaxface.detection.native import quiet

_RATE = Fraction(30)
"""Frames a second of a source that does not say."""
_TICK = Fraction(1, 90_000)
"""Of a second: times that keep no rate are written in it."""
_ROUNDED_S = Fraction(1, 500)
"""Times that miss the rate's by no more keep the rate: Matroska's and others' are whole milliseconds."""
_SHORT_S, _SHORT_FRAMES = 0.5, 2
"""A file that ends earlier than it says by more than this breaks off; how long its last frame lasts it may not say."""


class Video:
    """A video file, to be read as often as needed.

    ``rate`` is its mean frames a second. Of the last reading, ``times`` are the seconds from the first frame to each,
    ``tick`` is their unit, 1/rate if they keep the rate, and ``problem`` a sentence where it met the end too early.

    Raises:
      ValueError: the file is missing, or holds no video that can be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.problem: str | None = None
        with self._opened() as (_, stream):
            self.rate = Fraction(stream.average_rate or _RATE)
        self.times: list[Fraction] = []
        self.tick = 1 / self.rate

    def frames(self) -> Iterator[np.ndarray]:
        """The frames, upright, in square pixels. Those of another size than the first are fitted into it, with bars."""
        from av.error import FFmpegError
        from PIL import ImageOps

        self.problem, self.times, size, before, shown, end = None, [], None, None, 0, 0.0
        with self._opened() as (container, stream):
            stream.thread_type = "AUTO"
            aspect, stamped = stream.sample_aspect_ratio or 1, _stamped(container)  # the aspect of a pixel
            try:
                for packet in container.demux():  # sound may go on for longer
                    if packet.pts is not None:
                        end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                    if packet.stream is not stream:
                        continue
                    shown += 0 if packet.is_discard else packet.duration or 0
                    for frame in stream.decode(packet):
                        picture = _upright(frame, round(frame.width * aspect))
                        size = size or picture.size
                        self.times.append(self._time(frame, before))
                        before = frame.pts if stamped else None
                        yield np.asarray(picture if picture.size == size else ImageOps.pad(picture, size))
                counts = stream.frames > 0
                broken = self._lacks(stream, shown) if counts else self._ends_early(container, end)
            except FFmpegError:
                broken = True
        if not self.times:
            raise ValueError(f"{self.path}: no frame of it can be read")
        if broken:
            self.problem = f"{self.path}: breaks off after {len(self.times)} frames"
        even = [index / self.rate for index in range(len(self.times))]
        kept = all(abs(at - rated) <= _ROUNDED_S for at, rated in zip(self.times, even, strict=True))
        self.times, self.tick = (even, 1 / self.rate) if kept else (self.times, _TICK)

    def _time(self, frame, before: int | None) -> Fraction:
        """When a frame comes; ``before`` is the last one's stamp. By the rate where a stamp is missing or not later."""
        if not self.times:
            return Fraction(0)
        if before is None or frame.pts is None or frame.pts <= before:
            return self.times[-1] + 1 / self.rate
        return self.times[-1] + (frame.pts - before) * frame.time_base

    def _lacks(self, stream, shown: int) -> bool:
        """Whether a file that counts its frames lacks one. It counts what an edit list hides too, as in a trimmed file:
        one is missing if the packets that are ``shown`` do not last as long as the file tells."""
        if len(self.times) >= stream.frames or stream.duration is None:
            return len(self.times) < stream.frames
        return (stream.duration - shown) * stream.time_base >= 1 / self.rate

    def _ends_early(self, container, end: float) -> bool:
        """Whether the last packet's ``end`` in seconds is well before the one that the file tells."""
        if container.duration is None or not _stamped(container):
            return False
        return container.duration / 1e6 - end > max(_SHORT_S, _SHORT_FRAMES / self.rate)

    @contextmanager
    def _opened(self):
        import av
        from av.error import FFmpegError

        if not self.path.is_file():
            what = "a folder; give a video file" if self.path.is_dir() else "no such file"
            raise ValueError(f"{self.path}: {what}")
        if self.path.stat().st_size == 0:
            raise ValueError(f"{self.path}: the file is empty")
        try:
            container = av.open(f"file:{self.path}")
        except (FFmpegError, OSError) as error:
            raise ValueError(f"{self.path}: not a video that can be read, or a part of it ({error.strerror})") from None
        with container:
            if not container.streams.video:
                raise ValueError(f"{self.path}: holds no video")
            yield container, container.streams.video[0]


def _stamped(container) -> bool:
    """Whether a file's format has times, which FFmpeg guesses otherwise."""
    from av.format import Flags

    return not container.format.flags & Flags.no_timestamps.value


def _upright(frame, width: int):
    """A decoded frame as a picture of Pillow's, of this width before its display matrix turns or mirrors it."""
    from PIL import Image, ImageOps

    picture = Image.fromarray(frame.to_ndarray(format="rgb24", width=width))
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    (across_x, across_y, _), (down_x, down_y, _), _ = np.frombuffer(matrix, np.int32).reshape(3, 3).astype(float)
    if across_x * down_y < across_y * down_x:
        picture = ImageOps.flip(picture)  # which leaves a turn, as the rotation is that of the x axis
    return picture.rotate(frame.rotation, expand=True)  # counter-clockwise, as Pillow's


@contextmanager
def writing(path: Path, rate: Fraction, tick: Fraction) -> Iterator[Callable[[np.ndarray, Fraction], None]]:
    """A function that adds a frame, at some seconds, to an MP4 (H.264), which appears whole or not at all.

    All frames have one size; an odd side loses its last pixel. Their times rise, and are written in whole ticks.

    Raises:
      OSError: the file cannot be written.
    """
    import av

    temporary = path.with_name(f".{uuid.uuid4().hex}.mp4")
    try:
        with av.open(f"file:{temporary}", "w") as container:
            stream = container.add_stream("h264", rate=rate, options={"crf": "20"})
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = tick
            last = -1

            def add(frame: np.ndarray, at: Fraction) -> None:
                nonlocal last
                if not stream.codec_context.is_open:
                    stream.height, stream.width = (side // 2 * 2 for side in frame.shape[:2])
                even = np.ascontiguousarray(frame[: stream.height, : stream.width])
                timed = av.VideoFrame.from_ndarray(even, format="rgb24")
                timed.pts = last = max(last + 1, round(at / tick))
                timed.time_base = tick
                container.mux(stream.encode(timed))

            yield add
            container.mux(stream.encode())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def record(camera: int, path: Path, seconds: float) -> None:
    """Record a camera into an MP4, for some seconds or until Ctrl-C.

    Raises:
      ValueError: there is no such camera, or it gives no picture.
      OSError: the file cannot be written.
    """
    import cv2

    unseen = f"camera {camera}: cannot be opened, or gives no picture; is another program using it?"
    try:
        with quiet():
            source = cv2.VideoCapture(camera)
    except cv2.error:  # the number is larger than OpenCV takes
        raise ValueError(unseen) from None
    try:
        rate = Fraction(source.get(cv2.CAP_PROP_FPS) or _RATE).limit_denominator(1001)
        seen, picture = source.read()
        if not seen:
            raise ValueError(unseen)
        start = now = monotonic()
        with writing(path, rate, _TICK) as add:
            try:
                while seen and now - start < seconds:
                    add(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), Fraction(now - start))
                    seen, picture = source.read()
                    now = monotonic()
            except KeyboardInterrupt:
                pass  # the way to say that it is enough
    finally:
        source.release()
