"""``jaxface dataset`` over crops and rotations of the demo photograph: rate, memory, and where the time goes.

``python -m benchmarks.dataset [--images 20000] [--processes 2] [--folder DIR]``. Beside it, MediaPipe alone: as many
processes that read the same images with Pillow and give them to a face landmarker, and do nothing else. Processor
time counts beside wall time, which other programs disturb.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

SIDE = 320
"""Pixels of the images."""
SAMPLE = 1000
"""Images that MediaPipe alone is timed on, before and after."""
PART = 1024
"""Images that share a file, as ``jaxface dataset`` has it if not told otherwise."""


def make_images(folder: Path, count: int, side: int = SIDE) -> list[Path]:
    """Squares of the demo photograph, each turned, moved and scaled at random, as JPEG; those there are kept."""
    from importlib.resources import files

    from PIL import Image

    with files("jaxface.assets").joinpath("astronaut.png").open("rb") as opened:
        photograph = Image.open(opened).convert("RGB")
    paths = [folder / f"{index // 1000:03d}" / f"{index:06d}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        if path.exists():
            continue
        rng = np.random.default_rng(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        left, top = rng.uniform((40, 0), (110, 40))
        crop = rng.uniform(230, 330)
        turned = photograph.rotate(rng.uniform(-40, 40), center=(220, 120), resample=Image.Resampling.BILINEAR)
        box = (left, top, left + crop, top + crop)
        turned.resize((side, side), Image.Resampling.BILINEAR, box=box).save(path, quality=90)
    return paths


def mediapipe_alone(paths: list[str]) -> tuple[float, float, float, int]:
    """Wall seconds from and to, processor seconds, faces: of one process that searches images and does nothing else."""
    import resource

    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision
    from PIL import Image

    from jaxface import assets

    bundle = Path(assets.__file__).with_name("face_landmarker.task").read_bytes()
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_buffer=bundle), num_faces=10)
    with vision.FaceLandmarker.create_from_options(options) as landmarker:

        def search(path: str) -> int:
            image = np.array(Image.open(path).convert("RGB"))
            frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            return len(landmarker.detect(frame).face_landmarks)

        used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        search(paths[0])
        began, before = perf_counter(), used()
        faces = sum(map(search, paths))
        return began, perf_counter(), used() - before, faces


def alone(paths: list[Path], processes: int) -> tuple[float, float, int]:
    """Images a second of as many processes as asked, images a second of processor time, faces found in all."""
    shares = [list(map(str, paths[rank::processes])) for rank in range(processes)]
    with get_context("spawn").Pool(processes) as pool:
        began, ended, used, faces = zip(*pool.map(mediapipe_alone, shares, chunksize=1), strict=True)
    return len(paths) / (max(ended) - min(began)), len(paths) / sum(used), sum(faces)


def tree(root: int) -> tuple[float, float]:
    """Memory in MB (each shared page counted in parts) and processor seconds of a process and those it started."""
    parents, used = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    family = {root}
    while added := {child for child, parent in parents.items() if parent in family} - family:
        family |= added
    memory = 0.0
    for process in family:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        memory += int(rollup.split("Pss:", 1)[1].split()[0]) / 1024
    return memory, sum(used.get(process, 0.0) for process in family)


def run(folder: Path, output: Path, processes: int, count: int) -> dict:
    """One run of the command: what it printed, and its parts, memory and processor time as it went."""
    command = [sys.executable, "-m", "jaxface", "dataset", folder, "--output", output, "--processes", processes]
    started = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    seen = []
    while started.poll() is None:
        memory, used = tree(started.pid)
        images = min(count, PART * len(list(output.glob("part-*.parquet"))))
        seen.append((perf_counter(), images, memory, used))
        sleep(1)
    return {"printed": started.stdout.read(), "seen": np.array(seen)}


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.dataset", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--folder", type=Path, help="where the images are made, or were before; a temporary one if none"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary) / "images"
        paths = make_images(folder, asked.images)
        sample = paths[:: max(1, len(paths) // SAMPLE)]
        before = alone(sample, asked.processes)
        ours = run(folder, Path(temporary) / "out", asked.processes, asked.images)
        after = alone(sample, asked.processes)
    print(ours["printed"])
    clock, images, memory, used = ours["seen"].T
    # From the first part to the last but one, as processes that have ended are no longer counted.
    first, last = np.argmax(images > 0), np.argmax(images >= (asked.images - 1) // PART * PART)
    done = images[last] - images[first]
    wall, cpu = done / (clock[last] - clock[first]), done / (used[last] - used[first])
    theirs = [np.mean(pair) for pair in zip(before, after, strict=True)]
    print(f"{'':28}  {'images/s':>9}  {'images / processor s':>21}")
    print(f"{'jaxface dataset':28}  {wall:9.1f}  {cpu:21.1f}")
    print(f"{'MediaPipe alone, before':28}  {before[0]:9.1f}  {before[1]:21.1f}")
    print(f"{'MediaPipe alone, after':28}  {after[0]:9.1f}  {after[1]:21.1f}")
    print(f"{'of MediaPipe alone':28}  {wall / theirs[0]:9.3f}  {cpu / theirs[1]:21.3f}")
    quarters = np.linspace(0, asked.images, 5)
    means = [
        memory[(images > low) & (images <= high)].mean() for low, high in zip(quarters, quarters[1:], strict=False)
    ]
    told = ", ".join(f"{mean:.0f}" for mean in means)
    print(f"memory of all processes in each quarter: {told} MB; peak {memory.max():.0f} MB")


if __name__ == "__main__":
    main()
