"""Frames a second with one face of 640 x 480 pixels in video use: ``python -m benchmarks.video [DETECTOR]``.

The demo photograph's face wanders through a frame. After a warm-up, ``track`` is the time that a ``Tracker`` takes for
a frame, ``fit`` that of the fit after it, each the median and the 95th percentile of 300 frames; every 30th frame is
searched whole.
"""

import sys
from importlib.resources import files
from time import perf_counter

import jax
import numpy as np
from PIL import Image

import jaxface
from jaxface.detection.registry import opened
from jaxface.detection.tracking import Tracker

WIDTH, HEIGHT, FRAMES, WARM = 640, 480, 300, 30


def frames():
    """The photograph at two thirds of its size on a grey frame, some three pixels further each time."""
    photograph = Image.open(files("jaxface.assets") / "astronaut.png").convert("RGB").resize((344, 344))
    for number in range(WARM + FRAMES):
        frame = Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 150))
        angle = number / 50
        frame.paste(photograph, (round(148 + 140 * np.sin(angle)), round(68 + 60 * np.cos(2 * angle))))
        yield np.asarray(frame)


def main() -> None:
    model = jaxface.load_model()
    times = []
    with opened(*sys.argv[1:2] or ["mediapipe"]) as detector:
        tracker = Tracker(detector)
        for frame in frames():
            started = perf_counter()
            faces = tracker.update(frame)
            tracked = perf_counter()
            jax.block_until_ready([jaxface.fit(model, face) for face in faces])
            times.append((tracked - started, perf_counter() - tracked, len(faces)))
    track, fit, count = np.array(times[WARM:]).T
    print(f"faces a frame: {count.mean():.2f}")
    for name, seconds in ("track", track), ("fit", fit), ("both", track + fit):
        middle, slow = 1000 * np.percentile(seconds, [50, 95])
        print(f"{name}: median {middle:.2f} ms, 95 of 100 within {slow:.2f} ms")
    print(f"{len(track) / (track + fit).sum():.0f} frames a second")


if __name__ == "__main__":
    main()
