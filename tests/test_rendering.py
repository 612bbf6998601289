import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_faces import head
from PIL import ImageDraw
from small_model import SIZE, small_landmarks, small_model, small_photograph, small_result

from jaxface.rendering.error_map import RANGE_MM, draw_errors, error_colours
from jaxface.rendering.observation import observe
from jaxface.rendering.overlay import DOUBTED, FITTED, draw_faces, overlay
from jaxface.rendering.posed import image_vertices, model_vertices
from jaxface.rendering.rasterizer import rasterize
from jaxface.rendering.shading import draw_mesh, shade, vertex_normals
from jaxface.rendering.texture import UNSEEN, texture
from jaxface.rendering.textured import draw_textured
from jaxface.types import Status

BACKGROUND = np.array([255.0, 0.0, 255.0])


@pytest.fixture(scope="module")
def model():
    return small_model()


def skin(points: np.ndarray) -> np.ndarray:
    """A colour (n, 3) in 0..255 for points (n, 3) of the model frame: symmetric, and never like the background."""
    x, y, z = (points / 100.0).T
    return np.stack([150 + 40 * np.cos(4 * x), 160 + 50 * np.sin(3 * y), 120 + 30 * np.cos(3 * z)], axis=-1)


def photograph(model, result, colour=skin) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8: the face painted with ``colour`` of its surface before a magenta background."""
    triangles = np.asarray(model.triangles)
    fragments = rasterize(image_vertices(model, result), triangles, SIZE, SIZE)
    picture = np.broadcast_to(BACKGROUND, (SIZE, SIZE, 3)).copy()
    picture[fragments.covered] = colour(fragments.interpolate(model_vertices(model, result), triangles))
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def on_atlas(model, result, size=256):
    """Which texels the atlas covers (size, size); of each: the surface point, the cosine of its normal to the viewer,
    and that of the mirrored point."""
    triangles = np.asarray(model.triangles)
    flat = np.pad(np.asarray(model.uv) * [size, -size] + [0, size], ((0, 0), (0, 1)))
    atlas = rasterize(flat, np.asarray(model.uv_triangles), size, size)
    normals = vertex_normals(image_vertices(model, result), triangles)
    return (
        atlas.covered,
        atlas.interpolate(model_vertices(model, result), triangles),
        -atlas.interpolate(normals, triangles)[:, 2],
        -atlas.interpolate(normals[np.asarray(model.symmetry)], triangles)[:, 2],
    )


def test_rasterize_agrees_with_every_triangle_tried_at_every_pixel(model):
    height, width = 24, 30
    vertices = image_vertices(model, small_result(35.0, scale=0.11, centre=(15.0, 12.0))).astype(float)
    triangles = np.asarray(model.triangles)
    fragments = rasterize(vertices, triangles, height, width)

    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 1, 2)
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    edges = np.stack([b - a, c - a], axis=-1)[:, :2]
    inner = np.einsum("fij,pfj->pfi", np.linalg.inv(edges), centres - a[:, :2])
    weights = np.concatenate([1 - inner.sum(axis=-1, keepdims=True), inner], axis=-1)
    depth = np.einsum("pfk,fk->pf", weights, np.stack([a, b, c], axis=1)[..., 2])
    depth[(weights < 0).any(axis=-1)] = np.inf
    nearest, covered = depth.argmin(axis=1), np.isfinite(depth.min(axis=1))

    assert 250 < covered.sum() < 500
    assert (covered != fragments.covered.ravel()).sum() <= 2  # an outline through a pixel's centre
    same = covered & (nearest == fragments.triangle.ravel())
    assert same.sum() >= 0.99 * covered.sum()
    expected = weights[same, nearest[same]]
    np.testing.assert_allclose(fragments.barycentric.reshape(-1, 3)[same], expected, atol=1e-4)


def test_the_nearest_triangle_wins_whatever_the_order():
    square = np.array([[0, 0, 0], [8, 0, 0], [8, 8, 0], [0, 8, 0]], float)
    vertices = np.concatenate([square + [0, 0, 5], square + [4, 0, -5]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    for triangles, near in ((faces, 2), (faces[::-1], 0)):
        shown = rasterize(vertices, triangles, 8, 12).triangle
        assert np.isin(shown[:, 4:], [near, near + 1]).all()
        assert not np.isin(shown[:, :4], [near, near + 1, -1]).any()


def test_rasterize_from_several_threads(model):
    vertices, triangles = image_vertices(model, small_result()), np.asarray(model.triangles)
    expected = rasterize(vertices, triangles, 64, 64).triangle
    shown = [None] * 3

    def draw(index):
        shown[index] = rasterize(vertices, triangles, 64, 64).triangle

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(triangle, expected) for triangle in shown)


def test_normals_point_outward_and_light_comes_from_the_viewer(model):
    vertices, triangles = image_vertices(model, small_result()), np.asarray(model.triangles)
    normals = vertex_normals(vertices, triangles)
    outward = np.einsum("vc,vc->v", normals, vertices - vertices.mean(axis=0))
    assert (outward > 0).mean() > 0.98
    lit = shade(np.array([[0, 0, -1.0], [0, 0, 1.0], [0.0, 1.0, -0.1]]), np.array([0.5, 0.5, 0.5]))
    np.testing.assert_allclose(lit[0], lit[1])
    assert lit[0, 0] > lit[2, 0]
    assert lit.min() >= 0 and lit.max() <= 1


def test_draw_mesh_has_soft_edges_and_takes_colours_a_vertex(model):
    vertices, triangles = image_vertices(model, small_result()), np.asarray(model.triangles)
    one = draw_mesh(vertices, triangles, SIZE, SIZE, np.array([0.5, 0.6, 0.7]))
    many = draw_mesh(vertices, triangles, SIZE, SIZE, np.tile([0.5, 0.6, 0.7], (len(vertices), 1)))
    np.testing.assert_allclose(one, many, atol=1e-5)
    assert ((one[..., 3] > 0) & (one[..., 3] < 1)).any()
    assert (one[..., :3] <= one[..., 3:] + 1e-6).all()


@pytest.mark.parametrize("scheme", ["ibug68", "mediapipe478"])
def test_overlay_shows_the_photograph_around_the_face(model, scheme):
    result = small_result(20.0, scale=2.6, centre=(500.0, 500.0))
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (1000, 1000, 3), dtype=np.uint8)
    picture = overlay(image, model, result, small_landmarks(model, result, scheme))
    assert picture.dtype == np.uint8 and picture.shape[1] % 2 == 0 and picture.shape[1] <= 2400
    left, right = np.split(picture, 2, axis=1)
    height, width = left.shape[:2]
    inset = np.lib.stride_tricks.sliding_window_view(image[:, :, 0], (1, 20))
    top, start = np.argwhere((inset[:, :, 0] == left[0, :20, 0]).all(axis=-1))[0]  # not resampled: 800 <= width <= 1200
    source = image[top : top + height, start : start + width]
    for half in (left, right):
        np.testing.assert_array_equal(half[:60], source[:60])
        middle = slice(height // 2 - 60, height // 2 + 60), slice(width // 2 - 60, width // 2 + 60)
        assert (half[middle] != source[middle]).any()


@pytest.mark.parametrize(("shape", "scale", "centre"), [((90, 60), 0.2, (30, 45)), ((3000, 5000), 0.6, (4900, 2950))])
def test_overlay_of_small_and_of_large_photographs(model, shape, scale, centre):
    result = small_result(-30.0, scale=scale, centre=centre)
    picture = overlay(np.full((*shape, 3), 90, np.uint8), model, result, small_landmarks(model, result))
    assert 800 <= max(picture.shape[0], picture.shape[1] // 2) <= 1200
    assert (picture != 90).any()


def test_overlay_of_a_failed_fit_says_so_and_leaves_out_points_that_are_not_finite(model, monkeypatch):
    result, said = small_result(), []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, at, text, **style: said.append(text))
    landmarks = small_landmarks(model, result)
    bad = dataclasses.replace(landmarks, xy=landmarks.xy.at[:].set(np.nan))
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    picture = overlay(image, model, dataclasses.replace(result, status=jnp.int32(2)), bad)
    assert picture.shape == (800, 1600, 3) and said[-1] == Status.NON_FINITE_INPUT.sentence


def test_nothing_is_drawn_or_baked_of_a_face_that_was_not_fitted(model):
    result = dataclasses.replace(small_result(), status=jnp.int32(Status.DEGENERATE_LANDMARKS))
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    picture = overlay(image, model, result, small_landmarks(model, result))
    left, right = np.split(picture, 2, axis=1)
    assert not (left == FITTED).all(axis=-1).any()
    assert (right[: -right.shape[0] // 10] == 90).all()
    atlas = texture(image, model, result, 16)
    assert atlas.shape == (16, 16, 3) and (atlas == UNSEEN).all()


@pytest.mark.parametrize(
    "moved, shape", [(lambda xy: xy + 5000, (800, 1600, 3)), (lambda xy: 1000 * xy, (800, 1600, 3))]
)
def test_the_whole_photograph_is_shown_where_no_landmark_is_in_it(model, moved, shape):
    result = small_result()
    landmarks = small_landmarks(model, result)
    away = dataclasses.replace(landmarks, xy=moved(landmarks.xy), xyz=moved(landmarks.xyz))
    assert overlay(np.full((SIZE, SIZE, 3), 90, np.uint8), model, result, away).shape == shape


@pytest.mark.parametrize("width", [60, 150, 900])
def test_a_legend_fits_its_picture(model, width):
    landmarks = small_landmarks(model, small_result())
    picture = draw_faces(np.full((600, width, 3), 255, np.uint8), [landmarks], ["1"])
    below = picture[-50:]
    ground = (below < 250).any(axis=-1).any(axis=0)
    assert ground.any() and not ground[-3:].any()


def test_overlay_marks_points_that_count_little(model):
    result = small_result()
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    landmarks = small_landmarks(model, result)
    shown = []
    for weight in (np.ones(68), np.where(np.arange(68) < 9, 0.01, 1.0)):
        weighed = dataclasses.replace(result, landmark_weight=jnp.asarray(weight, jnp.float32))
        shown.append((overlay(image, model, weighed, landmarks) == DOUBTED).all(axis=-1).sum())
    assert shown[0] == 0 and shown[1] > 9


def test_overlay_refuses_a_scheme_that_the_model_lacks(model):
    result = small_result()
    lacking = dataclasses.replace(model, landmarks={"ibug68": model.landmarks["ibug68"]})
    with pytest.raises(ValueError, match="mediapipe478.*ibug68"):
        overlay(np.zeros((9, 9, 3), np.uint8), lacking, result, small_landmarks(model, result, "mediapipe478"))


def test_errors_are_shown_of_the_front_of_a_face():
    face = head(subdivisions=3)
    errors = np.where(face.vertices[:, 2] > 0, 0.0, RANGE_MM)
    picture = draw_errors(face.vertices, face.triangles, errors, face.seven, "")
    np.testing.assert_allclose(picture[320, 320], 255 * error_colours(np.zeros(1))[0], atol=20)


def test_what_faces_the_viewer_behind_a_nearer_surface_is_not_believed():
    square = np.array([[0, 0, 0], [40, 0, 0], [40, 40, 0], [0, 40, 0]], float)
    vertices, faces = np.concatenate([square + [20, 20, 0], 2 * square + [0, 0, 30]]), np.array([[0, 1, 2], [0, 2, 3]])
    seen = observe(np.zeros((80, 80, 3), np.uint8), vertices, np.concatenate([faces, faces + 4]), 1.0, 80)
    points = np.array([[40, 40, 0], [40, 40, 30], [10, 10, 30]])
    np.testing.assert_array_equal(seen.sample(points, np.array(3 * [[0, 0, -1.0]]))[1], [1, 0, 1])


def test_texture_returns_what_was_painted():
    model = small_model(nose_mm=0.0)
    result = small_result(scale=1.6)
    painted = lambda points: skin(points) + [30, 0, 0] * np.sin(points[:, :1] / 20.0)  # left and right differ
    baked = texture(photograph(model, result, painted), model, result, size=256)
    covered, points, facing, _ = on_atlas(model, result)
    seen = facing > 0.65
    error = np.abs(baked[covered][seen] - painted(points[seen]))
    assert seen.sum() > 2000
    assert error.mean() < 1.5 and np.quantile(error, 0.99) < 4


def test_texture_of_the_hidden_side_is_that_of_the_mirrored_one(model):
    result = small_result(55.0, scale=1.6)
    baked = texture(photograph(model, result), model, result, size=256)
    covered, points, facing, across = on_atlas(model, result)
    hidden = (facing < 0) & (across > 0.7)
    error = np.abs(baked[covered][hidden] - skin(points[hidden]))
    assert hidden.sum() > 2000
    assert error.mean() < 2 and np.quantile(error, 0.99) < 8


@pytest.mark.parametrize("mirrored", [True, False])
def test_no_background_in_the_texture_and_no_seam_at_the_islands(model, mirrored):
    result = small_result(30.0, scale=1.6)
    photo = photograph(model, result)
    model = model if mirrored else dataclasses.replace(model, symmetry=None)
    baked = texture(photo, model, result, size=256).astype(float)
    assert (baked[..., 1] > 90).all()  # the background has no green
    first, where, count = np.unique(np.asarray(model.uv_vertices), return_index=True, return_counts=True)
    column, row = (np.asarray(model.uv) * [256, -256] + [0, 256]).astype(int).T
    colours = baked[row, column]
    last = len(colours) - 1 - np.unique(np.asarray(model.uv_vertices)[::-1], return_index=True)[1]
    assert (count == 2).sum() > 50
    assert np.abs(colours[where] - colours[last])[count == 2].mean() < 6


def test_texture_of_a_face_beyond_the_photograph(model):
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    outside = texture(image, model, small_result(centre=(-900.0, 200.0)), size=64)
    assert np.abs(outside - UNSEEN).max() <= 1
    cut = texture(image, model, small_result(centre=(0.0, 200.0)), size=64)
    assert np.abs(cut - 90.0).max() <= 1


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)])
def test_what_is_no_photograph_is_refused(model, image):
    result = small_result()
    with pytest.raises(ValueError, match=r"image: got .*takes uint8 \(H, W, 3\)"):
        texture(image, model, result)
    with pytest.raises(ValueError, match="image: got"):
        overlay(image, model, result, small_landmarks(model, result))


def test_texture_refuses_a_model_without_atlas_and_a_batch(model):
    image, result = np.zeros((9, 9, 3), np.uint8), small_result()
    with pytest.raises(ValueError, match="uv"):
        texture(image, dataclasses.replace(model, uv=None), result)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), result)
    with pytest.raises(ValueError, match=r"batch of shape \(2,\).*jax.tree.map"):
        texture(image, model, batch)
    for wrong in (0, 9000, 100.5, "a"):
        with pytest.raises(ValueError, match=f"size: got {wrong!r}, takes a whole number from 1 to 8192"):
            texture.__wrapped__(image, model, result, wrong)  # past the type checks of the tests


def test_a_textured_mesh_shows_its_atlas(model):
    """An atlas whose red is u and whose green is v: each pixel's colour says where in the atlas its surface is."""
    size, result = 256, small_result()
    rows, columns = np.mgrid[:size, :size]
    atlas = np.stack([columns, size - 1 - rows, 0 * rows], axis=-1).astype(np.uint8)
    placed = image_vertices(model, result)
    picture = draw_textured(model, placed, atlas, SIZE, SIZE, background=7.0)
    seen = rasterize(placed[np.asarray(model.uv_vertices)], np.asarray(model.uv_triangles), SIZE, SIZE)
    uv = seen.interpolate(np.asarray(model.uv), np.asarray(model.uv_triangles))
    np.testing.assert_allclose(picture[seen.covered][:, :2], 256 * uv, atol=1.5)
    assert (picture[~seen.covered] == 7).all()


def test_the_mesh_lies_where_the_models_landmarks_do():
    """In a wide photograph, away from its diagonal: at the same place in both halves of the picture."""
    model, result = small_model(), small_result(scale=1.0, centre=(900.0, 200.0))
    picture = overlay(np.full((400, 1200, 3), 90, np.uint8), model, result, small_landmarks(model, result))
    left, right = np.split(picture, 2, axis=1)
    middle = lambda marked: np.mean(np.nonzero(marked), axis=1)
    drawn = (right != 90).any(axis=-1)[: -right.shape[0] // 10]
    points = (left == FITTED).all(axis=-1)[: -right.shape[0] // 10]
    np.testing.assert_allclose(middle(drawn), middle(points), atol=0.05 * right.shape[0])


def test_a_line_leads_from_a_detected_point_to_the_models(model):
    """What is seen halfway on it, and not there where the two coincide."""
    result, image = small_result(), np.full((SIZE, SIZE, 3), 90, np.uint8)
    landmarks = small_landmarks(model, result)
    inner = int(np.linalg.norm(landmarks.xy - landmarks.xy.mean(axis=0), axis=1).argmin())
    xy, xyz = (leaf.at[inner, 0].add(40.0) for leaf in (landmarks.xy, landmarks.xyz))
    away = dataclasses.replace(landmarks, xy=xy, xyz=xyz)
    x, y = (2 * (xy[inner] - np.array([20.0, 0.0]))).astype(int)  # drawn at twice the size
    there = [overlay(image, model, result, given)[y - 3 : y + 4, x].astype(int) for given in (landmarks, away)]
    assert np.abs(there[1] - there[0]).max() > 60


def test_the_caption_says_pitch_yaw_and_roll(model, monkeypatch):
    said, result = [], small_result(30.0)
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, at, text, **style: said.append(text))
    overlay(np.full((SIZE, SIZE, 3), 90, np.uint8), model, result, small_landmarks(model, result))
    assert said[-1] == "pitch +0°   yaw +30°   roll +0°"


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_belief_begins_at_an_occluding_edge_and_is_whole_farther_away(scale):
    """In mm, at any scale and detail: 0 at the edge of a square before another, a half at half the way, then 1. Behind
    the front by less than 2 mm a point is still seen."""
    square = np.array([[0, 0, 0], [40, 0, 0], [40, 40, 0], [0, 40, 0]], float)
    vertices, faces = np.concatenate([square + [20, 20, 0], 2 * square + [0, 0, 30]]), np.array([[0, 1, 2], [0, 2, 3]])
    image = np.zeros((int(80 * scale), int(80 * scale), 3), np.uint8)
    seen = observe(image, scale * vertices, np.concatenate([faces, faces + 4]), scale, int(240 * scale))
    points = np.array([[20.3, 40, 0], [21.75, 40, 0], [24, 40, 0], [40, 40, 1.7], [40, 40, 2.3]])
    belief = seen.sample(scale * points, np.array(5 * [[0, 0, -1.0]]))[1]
    np.testing.assert_allclose(belief, [0, 0.5, 1, 1, 0], atol=0.15)


def test_a_pixels_colour_is_that_at_its_middle():
    image, square = small_photograph(), np.array([[0.0, 0, 0], [SIZE, 0, 0], [SIZE, SIZE, 0], [0, SIZE, 0]])
    seen = observe(image, square, np.array([[0, 1, 2], [0, 2, 3]]), 1.0, SIZE)
    points = np.array([[30.5, 90.5, 0], [200.5, 10.5, 0]])
    colours, _ = seen.sample(points, np.array(2 * [[0, 0, -1.0]]))
    np.testing.assert_allclose(colours, image[[90, 10], [30, 200]], atol=1e-3)


def test_the_mirrored_side_has_the_light_of_its_own_side(model):
    """The subject's left is lit and the right is not: where that is not seen, the last known difference goes on."""
    result = small_result(35.0, scale=1.6)
    lit = lambda points: skin(points) + 20 * np.tanh(points[:, :1] / 15)
    baked = texture(photograph(model, result, lit), model, result, size=256)
    covered, points, facing, across = on_atlas(model, result)
    hidden = (facing < 0) & (across > 0.7)
    error = np.abs(baked[covered][hidden] - lit(points[hidden]))
    assert hidden.sum() > 500 and error.mean() < 24  # 40 without it, 60 the other way round
