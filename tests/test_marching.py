"""Landmark marching: the model's own outline under the 2D contour."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_ends import NEAR_MM, PIXELS_A_MM, SIDE, distance_mm
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from slopes import assert_slope, outcome

import jaxface
from jaxface import FitOptions, Landmarks
from jaxface.calibration import Calibration
from jaxface.evaluation.noise import simulated
from jaxface.evaluation.subjects import subjects
from jaxface.export.report import landmark_errors
from jaxface.fitting import outline
from jaxface.model.contours import CANDIDATES, contour_lines
from jaxface.model.correspondences import JAW
from jaxface.rendering.overlay import DETECTED_2D, overlay
from jaxface.rendering.posed import seen_landmarks

pytestmark = pytest.mark.usefixtures("run_once")

YAWS = (-90.0, -75.0, -60.0, -45.0, -30.0, 30.0, 45.0, 60.0, 75.0, 90.0)
LONG = FitOptions("2d+3d", contour="march", iterations=60, identity_prior=10.0, expression_prior=10.0)
SURE = Calibration(
    *(
        np.zeros(axes, np.float32)
        for axes in (*2 * ((7, 68, 2), (7, 68, 3)), (7, 68), (7, 68, 2), (0, 68, 3), (7, 0, 68, 3), (7,))
    )
)
"""A detector that does not err."""


@pytest.fixture(scope="module")
def people(small):
    """Thirty of the small model, and what a detector finds that does not err: the 2D contour on the outline."""
    people = subjects(small, 30)
    return people, simulated(people, SURE)


def true_face(truth, scale, rotation, shift):
    """What a fit would find if it found a face exactly."""
    number = lambda value: jnp.asarray(value, jnp.float32)
    pose = jaxface.Pose(number(scale), number(rotation), number(shift))
    blank = dict(depth_offset=jnp.zeros(3), iterations=jnp.int32(1), status=jnp.int32(0))
    blank |= dict.fromkeys(("weight_2d", "weight_3d", "cost"), jnp.float32(0))
    return jaxface.FitResult(number(truth["identity"]), number(truth["expression"]), pose, **blank)


def test_the_outline_of_a_known_head_is_where_the_drawn_head_ends(small, face):
    """The points that the pose hides, which are the ones that march, at two pixels a millimetre. Ears, neck and the
    back of the head are cut off the drawing."""
    gaps = {yaw: [] for yaw in YAWS}
    triangles, normals = np.asarray(small.triangles), np.asarray(small.at_landmarks("ibug68").normals)[JAW]
    jaw = np.asarray(small.landmark_positions(small.mean, "ibug68"))[JAW]
    front = triangles[np.asarray(small.mean)[triangles, 2].min(axis=1) > jaw[[0, 16], 2].mean()]
    for seed, yaw in enumerate(YAWS):
        _, truth = face(seed=seed, euler_deg=(5.0 * (seed % 3 - 1), yaw, 8.0 * (seed % 2)), scale=PIXELS_A_MM)
        result = true_face(truth, PIXELS_A_MM, truth["rotation"], (SIDE / 2, SIDE / 2))
        distance = distance_mm(np.asarray(jaxface.vertices(small, result, camera=True)), front)
        away = np.nonzero(normals @ truth["rotation"][2] > 0.1)[0]
        x, y = np.asarray(outline(small, result))[away].astype(int).T
        gaps[yaw].extend(distance[y, x])
    every = np.concatenate([*gaps.values()])
    assert len(every) > 60 and (every < NEAR_MM).mean() > 0.95 and every.mean() < 0.6


def test_an_outline_is_the_jaw_of_a_face_from_the_front(small, face):
    _, truth = face(euler_deg=(0.0, 0.0, 0.0))
    result = true_face(truth, 3.0, truth["rotation"], truth["shift"])
    points = small.landmark_positions(jaxface.vertices(small, result, camera=True), "ibug68")[JAW, :2]
    compiled = jax.jit(lambda result: outline(small, result))
    assert np.linalg.norm(compiled(result) - points, axis=1).max() < 3 * NEAR_MM


def test_where_nothing_replaces_hidden_points_marching_finds_the_pose_and_its_outline(small, people):
    """2d+3d at 45 degrees and more: the contour of the other fits pulls the jaw out, and turns the face back."""
    people, landmarks = people
    fits = {
        name: jaxface.fit_batch(small, landmarks, FitOptions("2d+3d", contour=name)) for name in ("replace", "march")
    }
    turned = np.abs(people.yaw) > 45
    error = {name: np.abs(fit.pose.euler_deg[:, 1] - people.yaw)[turned] for name, fit in fits.items()}
    off = {}
    for name, fit in fits.items():
        apart = np.linalg.norm(outline(small, fit) - landmarks.xy[:, JAW], axis=-1)
        off[name] = apart[turned].mean()
    assert error["march"].mean() < 0.2 < 2.0 < error["replace"].mean()
    assert off["march"] < 0.3 * off["replace"]
    assert (fits["march"].cost[turned] < fits["replace"].cost[turned]).all()


def test_the_picture_and_the_errors_of_a_marched_fit_are_those_of_its_outline(small, people):
    """Of points on the outline: no line leads from them to the jaw."""
    people, landmarks = people
    row = int(np.argmin(np.abs(np.abs(people.yaw) - 55)))
    seen = Landmarks(100 + 2 * (landmarks.xy[row] - landmarks.xy[row].min(axis=0)), 2 * landmarks.xyz[row])
    options = FitOptions("2d+3d", contour="march")
    result = jaxface.fit(small, seen, options)
    image = np.zeros((600, 600, 3), np.uint8)
    yellow, errors = {}, {}
    for name in ("replace", "march"):
        picture = overlay(image, small, result, seen, contour=name)
        yellow[name] = (picture[:, : picture.shape[1] // 2] == DETECTED_2D).all(axis=-1).sum()
        errors[name] = landmark_errors(small, result, seen, name)["jaw line"]
    assert errors["march"] < 1.5 < 5 < errors["replace"], errors
    assert yellow["march"] < 0.8 * yellow["replace"], yellow


def test_derivatives_of_a_marched_fit(x64, small, face):
    landmarks, _ = face(seed=5, euler_deg=(5.0, 50.0, -10.0), dtype=np.float64)
    rng = np.random.default_rng(0)
    noisy = Landmarks(*(jnp.asarray(leaf + rng.normal(size=leaf.shape)) for leaf in (landmarks.xy, landmarks.xyz)))
    along = Landmarks(*(jnp.asarray(rng.normal(size=leaf.shape)) for leaf in (landmarks.xy, landmarks.xyz)))

    value = lambda given: outcome(jaxface.fit(small, given, LONG))
    assert_slope(jax.jit(jax.value_and_grad(value)), noisy, along)


def test_no_lane_changes_another(small, people):
    _, landmarks = people
    options = FitOptions("2d+3d", contour="march")
    broken = Landmarks(landmarks.xy.copy(), landmarks.xyz.copy())
    broken.xy[::2] = np.nan
    alone, mixed = (jaxface.fit_batch(small, faces, options) for faces in (landmarks, broken))
    for ours, theirs in zip(jax.tree.leaves(mixed), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(ours[1::2], theirs[1::2])
        assert np.isfinite(ours).all()


def test_agrees_with_scipy_on_the_same_energy(x64, small, people):
    """All unknowns at once, by their own residuals, with the outline looked for at every step."""
    people, landmarks = people
    row = int(np.argmin(np.abs(people.yaw - 60)))
    rng = np.random.default_rng(0)
    xy, xyz = (leaf[row].astype(float) + rng.normal(size=leaf[row].shape) for leaf in (landmarks.xy, landmarks.xyz))
    result = jaxface.fit(small, Landmarks(xy, xyz), LONG)
    fitted = np.concatenate([result.identity, result.expression])

    f64 = lambda model: (np.asarray(model.mean, float), np.asarray(model.basis, float))
    (mean, basis), (line_mean, line_basis) = f64(small.at_landmarks("ibug68")), f64(lined(small).at_landmarks("ibug68"))
    flat = mean[:, :2] * [1, -1]
    out = flat[JAW] - flat[[33, 51]].mean(axis=0)
    centred = lambda points: points - points.mean(axis=0)

    def residuals(step, prior):
        rotation = Rotation.from_rotvec(step[:3]).as_matrix() @ np.asarray(result.pose.rotation)
        scale, coefficients = float(result.pose.scale) * np.exp(step[3]), step[4:]
        seen = scale * (mean + basis @ coefficients) @ rotation.T
        lines = (scale * (line_mean + line_basis @ coefficients) @ rotation.T).reshape(17, CANDIDATES, 3)[..., :2]
        normal = out @ np.linalg.inv(rotation[:2, :2] * [1, -1])  # the inverse transposed takes normals where they go
        farthest = np.einsum("lkc,lc->lk", lines, normal).argmax(axis=1)
        in_2d = np.concatenate([lines[np.arange(17), farthest], seen[JAW.stop :, :2]])
        data = np.concatenate([centred(in_2d - xy).ravel(), centred(seen - xyz).ravel()]) / np.sqrt(2)
        return np.concatenate([data, np.sqrt(prior) * coefficients])

    at_fit = np.concatenate([np.zeros(4), fitted])
    data, priors = np.sum(residuals(at_fit, 0.0) ** 2), np.repeat([LONG.identity_prior, LONG.expression_prior], [8, 6])
    squared = data / (float(result.cost) - priors @ fitted**2)  # the mean face's scale
    np.testing.assert_allclose(squared**0.5, 1.0, rtol=0.05)  # or the cost is of another energy
    found = least_squares(residuals, at_fit, args=(priors * squared,), xtol=1e-12, ftol=1e-12)
    cost = 2 * found.cost / squared
    apart = np.sqrt(np.mean(np.sum((basis @ (found.x[4:] - fitted)) ** 2, axis=-1)))
    np.testing.assert_allclose(result.cost, cost, rtol=2e-3)
    assert apart < 0.01 and np.linalg.norm(found.x[:3]) < np.radians(0.1) and abs(found.x[3]) < 1e-3


def lined(model):
    return replace(model, landmarks={"ibug68": contour_lines(model)})


class TestRefused:
    def test_variants_and_schemes_that_do_not_march(self, small, face):
        with pytest.raises(ValueError, match=r"contour='march': .*calibrated"):
            FitOptions("calibrated", contour="march")
        with pytest.raises(ValueError, match="contour='slide': takes one of replace, march"):
            FitOptions(contour="slide")
        march = FitOptions(contour="march")
        with pytest.raises(ValueError, match=r"contour='march': takes ibug68 .*mediapipe478"):
            jaxface.fit(small, face(scheme="mediapipe478")[0], march)
        with pytest.raises(ValueError, match=r"contour='march': takes ibug68 .*mediapipe478"):
            seen_landmarks(small, jaxface.fit(small, face()[0]), "mediapipe478", "march")
        with pytest.raises(ValueError, match="contour='march': .*a single fit can"):
            jaxface.fit_sequence(small, jax.tree.map(lambda leaf: leaf[None], face()[0]), march)

    def test_a_model_that_is_not_known_yet(self, small, face):
        landmarks, march = face()[0], FitOptions(contour="march")
        with pytest.raises(ValueError, match="contour='march': .*traced"):
            jax.jit(lambda model: jaxface.fit(model, landmarks, march).cost)(small)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["fit", "a.jpg", "--contour", "slide"], "'slide'"),
            (["fit", "a.jpg", "--contour", "march", "--variant", "calibrated"], "calibrated"),
            (["fit", "a.jpg", "b.jpg", "--contour", "march", "--same-person"], "march fits one photograph"),
            (["dataset", "photos", "--contour", "slide"], "'slide'"),
            (["ablation", "--contour", "slide"], "'slide'"),
            (["ablation", "--detector", "mediapipe", "--scheme", "mediapipe478", "--contour", "march"], "ibug68"),
        ],
    )
    def test_on_the_command_line(self, jaxface, arguments, said):
        ran = jaxface(*arguments)
        assert ran.exit_code == 2 and "--contour" in ran.output and said in ran.output
