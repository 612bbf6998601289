import os
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxface.detection.reading import read_image

ORIENTED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: np.rot90(upright, 2),
    4: lambda upright: upright[::-1],
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""How the sensor saw an upright picture, by the EXIF orientation that says so."""


@pytest.fixture(scope="module")
def photograph():
    with as_file(files("jaxface.assets").joinpath("astronaut.png")) as path, Image.open(path) as opened:
        return np.array(opened.convert("RGB"))[:300:3, :360:3]


def grey(photograph):
    return np.array(Image.fromarray(photograph).convert("L"))


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_exif_orientation_is_undone(tmp_path, photograph, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    stored = Image.fromarray(np.ascontiguousarray(ORIENTED[orientation](photograph)))
    stored.save(path, exif=exif, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    image = read_image(path)
    assert image.shape == photograph.shape and image.dtype == np.uint8
    assert np.abs(image.astype(int) - photograph).mean() < (4 if suffix in ("jpg", "webp") else 1e-9)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_grey_of_16_bits_comes_out_as_its_8_bits(tmp_path, photograph, suffix):
    eight = grey(photograph)
    deep = np.rint(eight * (65535 / 255)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / f"deep.{suffix}")
    image = read_image(tmp_path / f"deep.{suffix}")
    np.testing.assert_array_equal(image, np.repeat(eight[..., None], 3, axis=-1))


def test_a_dark_grey_of_16_bits_stays_dark(tmp_path):
    Image.fromarray(np.full((4, 4), 200, np.uint16)).save(tmp_path / "dark.png")
    assert read_image(tmp_path / "dark.png").max() == 1


def test_floats_run_from_0_to_1(tmp_path, photograph):
    eight = grey(photograph)
    Image.fromarray((eight / 255).astype(np.float32)).save(tmp_path / "float.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "float.tif")[..., 1], eight)
    Image.fromarray(eight.astype(np.float32)).save(tmp_path / "other.tif")
    with pytest.raises(ValueError, match="other.tif: cannot be read .*0 to 1 is taken"):
        read_image(tmp_path / "other.tif")


def test_grey_black_and_white_palette_and_cmyk(tmp_path, photograph):
    picture = Image.fromarray(photograph)
    for mode, name in (("L", "grey.png"), ("1", "bits.png"), ("P", "palette.png")):
        stored = picture.convert(mode)
        stored.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), np.array(stored.convert("RGB")))
    picture.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "print.jpg").astype(int) - photograph).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white_and_half_transparent_ones_half(tmp_path, mode):
    alpha = np.array([[0, 255, 128]], np.uint8)
    if mode == "P":
        stored = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
        stored.putpalette([40] * 9)
        stored.save(tmp_path / "clear.png", transparency=bytes(alpha[0]))
    else:
        colour = np.full((1, 3, len(mode) - 1), 40, np.uint8)
        Image.fromarray(np.concatenate([colour, alpha[..., None]], axis=-1)).save(tmp_path / "clear.png")
    image = read_image(tmp_path / "clear.png")
    np.testing.assert_allclose(image, [[[255] * 3, [40] * 3, [147] * 3]], atol=1)


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    for name in ("moving.gif", "moving.png", "moving.webp"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_image(tmp_path / name), np.broadcast_to([255, 0, 0], (6, 8, 3)))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_file_that_breaks_off_is_refused(tmp_path, photograph, suffix):
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(photograph).save(whole)
    broken = tmp_path / f"broken.{suffix}"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"broken.{suffix}: cannot be read .*truncated"):
        read_image(broken)


def test_what_is_no_image_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a face\n" * 99)
    Image.new("RGB", (8, 8)).save(tmp_path / "program.jpg", format="EPS")
    for name, sentence in (
        ("missing.jpg", "no such file"),
        ("", "a folder; give the image files in it"),
        ("empty.jpg", "the file is empty"),
        ("text.jpg", "not an image in a format that Pillow reads; save it as JPEG or PNG"),
        ("program.jpg", "PostScript, a program and not an image; save it as JPEG or PNG"),
        ("x" * 300, "cannot be read .File name too long."),
        ("text.jpg/under.jpg", "cannot be read .Not a directory."),
        ("nul\0.jpg", "cannot be read .embedded null byte."),
    ):
        with pytest.raises(ValueError, match=sentence) as raised:
            read_image(tmp_path / name)
        assert str(raised.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("size", [(20_000, 15_000), (13_000, 10_000)])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch, size):
    Image.new("1", size).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(ValueError, match="huge.png: more than the 120 million pixels that are read; scale it down"):
        read_image(tmp_path / "huge.png")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in tmp_path / "pipe.jpg", Path("/dev/zero"):
        with pytest.raises(ValueError, match=f"{path}: .*not a file"):
            read_image(path)


def test_the_limit_itself_is_read(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "small.png")
    assert read_image(tmp_path / "small.png", max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(ValueError, match="small.png"):
        read_image(tmp_path / "small.png", max_pixels=199)


def test_broken_bytes_never_raise_anything_else(tmp_path, photograph):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(photograph[:32, :32])
    for suffix in ("png", "jpg", "gif", "webp", "tif", "bmp", "ppm", "jp2"):
        path = tmp_path / f"broken.{suffix}"
        picture.save(path)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(20):
            broken = whole.copy()
            broken[rng.integers(0, min(len(whole), 300), 4)] = rng.integers(0, 256, 4)
            path.write_bytes(broken[: rng.integers(1, len(whole) + 1)].tobytes())
            try:
                assert read_image(path).shape[-1] == 3
            except ValueError as error:
                assert str(error).startswith(str(path))
