"""How sure a fit is: against dense float64 least squares, and against many fits of people whose faces are known."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import ImageDraw
from scipy.spatial.transform import Rotation
from small_model import small_model, small_result

import jaxface
from jaxface import FitOptions, Status
from jaxface.camera import project, rotation_from_euler
from jaxface.evaluation.alignment import rigid
from jaxface.evaluation.protocols import CROP_MM
from jaxface.fitting.uncertainty import CORRECTED, DETECTED, PLACED_MM, Errors, placed_basis
from jaxface.rendering.uncertainty_map import draw_uncertainty

pytestmark = pytest.mark.usefixtures("run_once")

MADE = Errors(front=2.0, profile=2.0, outside=0.0)
PEOPLE = 200
PRIORS = np.repeat([FitOptions().identity_prior, FitOptions().expression_prior], [8, 6])
ROUNDS = FitOptions(variant="2d+3d", iterations=300, identity_prior=4.0, expression_prior=4.0)
"""So many that alternating reaches the minimum, which 30 do not, at weights that no yaw changes; and Laplace's priors,
Λ = σ²."""


@pytest.fixture(scope="module")
def fitted(small, face):
    return jaxface.fit(small, face(seed=1, euler_deg=(3.0, 60.0, 5.0))[0])


def dense(model, result, errors, weight):
    """The covariance (N, N) and the axes' deviations (V, 3) in NumPy, from the residuals of Eqs 5, 6 and 10-12 with
    their shifts and pose as unknowns, differentiated by central differences."""
    as64 = lambda leaf: np.asarray(leaf, np.float64)
    there = model.at_landmarks("ibug68")
    mean, basis, rotation = map(as64, (there.mean, there.basis, result.pose.rotation))
    fitted, size = as64(jnp.concatenate([result.identity, result.expression])), basis.shape[-1]

    def turned(unknown):
        turn = Rotation.from_rotvec(unknown[:3]).as_matrix()
        return np.exp(unknown[3]) * (mean + basis @ (fitted + unknown[9:])) @ rotation.T @ turn.T

    def residuals(unknown):
        """Of either kind of landmark, (L, 2) and (L, 3), in mm."""
        points = turned(unknown)
        return np.concatenate([(points[:, :2] + unknown[4:6]).ravel(), (points + unknown[6:9]).ravel()])

    step = 1e-5
    units = step * np.eye(9 + size)
    slope = np.stack([(residuals(unit) - residuals(-unit)) / (2 * step) for unit in units], axis=1)
    weights_2d, weights_3d = float(result.weight_2d), float(result.weight_3d)
    heavy = np.concatenate([weights_2d * np.repeat(weight, 2), weights_3d * np.repeat(weight, 3)])
    heavy = heavy / (weights_2d + weights_3d)
    normal = slope.T @ (heavy[:, None] * slope)
    prior = np.diag(np.r_[np.zeros(9), PRIORS])
    gain = np.linalg.inv(normal + prior)
    # Both kinds of a landmark err as one: in the image by σ²/w, in depth by σ²/w over λ3d's part.
    yaw = min(abs(float(result.pose.euler_deg[1])) / 90, 1)
    deviation = (errors.front + (errors.profile - errors.front) * yaw) / np.sqrt(weight)
    error = np.zeros((len(heavy), 3 * len(mean)))  # what an error of each landmark and axis does to the residuals
    for point in range(len(mean)):
        for axis in range(3):
            column = 3 * point + axis
            error[2 * len(mean) + column, column] = deviation[point]
            if axis < 2:
                error[2 * point + axis, column] = deviation[point]
            else:
                error[:, column] *= np.sqrt((weights_2d + weights_3d) / weights_3d)
    pull = slope.T @ (heavy[:, None] * error)
    covariance = (gain @ (pull @ pull.T + prior @ prior) @ gain)[9:, 9:]

    vertices, triangles = as64(model.mean), np.asarray(model.triangles)
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    area = np.bincount(triangles.ravel(), np.repeat(np.linalg.norm(np.cross(b - a, c - a), axis=1), 3), len(vertices))
    root = np.sqrt(area * (np.linalg.norm(vertices - mean[30], axis=1) < PLACED_MM))
    rigid_motions = np.stack(
        [np.tile(axis, (len(vertices), 1)) for axis in np.eye(3)] + [np.cross(axis, vertices) for axis in np.eye(3)], -1
    )
    moves = np.concatenate([as64(model.identity), as64(model.expression)], axis=-1)
    flat = lambda field: (root[:, None, None] * field).reshape(-1, field.shape[-1])
    moves = moves - rigid_motions @ np.linalg.lstsq(flat(rigid_motions), flat(moves), rcond=None)[0]
    variance = np.einsum("vcn,nm,vcm->vc", moves, covariance, moves)
    return covariance, np.sqrt(variance + errors.outside**2)


class TestClosedForm:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_that_of_dense_least_squares(self, x64, small, fitted, weighted):
        model, result = jax.tree.map(_as64, (small, fitted))
        weight = np.random.default_rng(0).uniform(0.2, 1.0, 68) if weighted else np.ones(68)
        weight /= weight.max()
        result = replace(result, landmark_weight=jnp.asarray(weight) if weighted else None)
        errors = Errors(2.0, 7.0, 1.5)
        found = jaxface.uncertainty(model, result, errors=errors)
        covariance, deviation = dense(model, result, errors, weight)
        assert found.covariance.dtype == jnp.float64
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(found.axis_std, deviation, rtol=1e-5)
        np.testing.assert_allclose(found.vertex_std**2, (deviation**2).mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(found.coefficient_std**2, np.diag(covariance), rtol=1e-5)

    def test_single_precision_suffices(self, small, fitted):
        found = jaxface.uncertainty(small, fitted)
        with jax.enable_x64(True):
            exact = jaxface.uncertainty(*jax.tree.map(_as64, (small, fitted)))
        assert found.axis_std.dtype == jnp.float32
        np.testing.assert_allclose(found.axis_std, exact.axis_std, rtol=1e-3)

    def test_samples_spread_as_it_says(self, small, fitted):
        found = jaxface.uncertainty(small, fitted, errors=MADE)
        drawn = np.asarray(found.sample(small, fitted, jax.random.key(0), 400), np.float64)
        near = np.linalg.norm(np.asarray(small.mean - small.mean[drawn.mean(axis=0)[:, 2].argmax()]), axis=1) < 60
        middle = drawn.mean(axis=0)
        placed = np.array([rigid(one[near], middle[near])(one) for one in drawn])
        ratio = placed.std(axis=0)[near] / np.asarray(found.axis_std)[near]
        assert abs(np.median(ratio) - 1) < 0.15  # the placing is by other weights


def _as64(leaf):
    return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@pytest.fixture(scope="module")
def many(small):
    """People of the model's own prior and their meshes, fitted to landmarks with ``MADE`` errors, and how surely."""
    rng = np.random.default_rng(5)
    identity = rng.normal(size=(PEOPLE, small.identity.shape[-1])).astype(np.float32)
    expression = rng.normal(size=(PEOPLE, small.expression.shape[-1])).astype(np.float32)
    angles = np.stack([rng.normal(0, 5, PEOPLE), rng.uniform(-60, 60, PEOPLE), rng.normal(0, 5, PEOPLE)], axis=-1)
    rotation = rotation_from_euler(jnp.asarray(angles, jnp.float32))
    meshes = small.vertices(jnp.asarray(identity), jnp.asarray(expression))
    points = small.landmark_positions(meshes, "ibug68")
    seen = np.asarray(project(points, jnp.ones(PEOPLE), rotation, jnp.zeros((PEOPLE, 2))))
    # The mean of two independent errors of variance 2σ² has σ²; so has the depth, which weighs half, with 2σ².
    draw = lambda axes: (2**0.5 * MADE.front * rng.normal(size=(PEOPLE, 68, axes))).astype(np.float32)
    result = jaxface.fit_batch(small, jaxface.Landmarks(seen[..., :2] + draw(2), seen + draw(3)), ROUNDS)
    sure = jax.vmap(partial(jaxface.uncertainty, small, options=ROUNDS, errors=MADE))(result)
    return np.concatenate([identity, expression], axis=1), np.asarray(meshes), result, sure


class TestCoverage:
    def test_coefficients(self, many):
        true, _, result, found = many
        error = np.concatenate([result.identity, result.expression], axis=1) - true
        covered(error / np.asarray(found.coefficient_std))

    def test_vertices(self, small, many):
        _, meshes, result, found = many
        tip = np.asarray(small.landmark_positions(small.mean, "ibug68"))[30]
        near = np.linalg.norm(np.asarray(small.mean) - tip, axis=1) < PLACED_MM
        fitted = np.asarray(jaxface.vertices(small, result), np.float64)[:, near]
        pairs = zip(fitted, meshes[:, near].astype(np.float64), strict=True)
        error = np.array([rigid(one, other)(one) - other for one, other in pairs])
        covered(error / np.asarray(found.axis_std)[:, near])

    def test_without_noise_only_the_prior_pulls(self, small, fitted):
        """σ = 0 leaves Λ² alone, and σ² = Λ is Laplace's posterior σ² H⁻¹: the prior's pull and the noise add to it."""
        at = lambda sigma: np.asarray(jaxface.uncertainty(small, fitted, errors=Errors(sigma, sigma, 0.0)).covariance)
        assert np.trace(at(0.0)) < np.trace(at(2.0)) < np.trace(at(10.0**0.5))


def covered(apart):
    """68 % and 95 % of these multiples of a standard deviation are within 1 and 1.96."""
    assert 100 * np.mean(np.abs(apart) < 1) == pytest.approx(68.3, abs=4)
    assert 100 * np.mean(np.abs(apart) < 1.96) == pytest.approx(95, abs=2)


class TestTransforms:
    def test_vmap_and_jit_agree_with_one(self, small, fitted):
        other = replace(fitted, identity=fitted.identity + 1, weight_3d=fitted.weight_3d / 2)
        batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), fitted, other)
        many = jax.jit(jax.vmap(partial(jaxface.uncertainty, small)))(batch)
        for row, result in enumerate((fitted, other)):
            one = jaxface.uncertainty(small, result)
            np.testing.assert_allclose(many.axis_std[row], one.axis_std, rtol=2e-3)
            np.testing.assert_allclose(many.covariance[row], one.covariance, atol=1e-4)

    def test_the_calibrated_variant(self, small, fitted):
        """A result says that it is calibrated, whose errors are others."""
        found = jaxface.uncertainty(small, replace(fitted, variant="calibrated"))
        told = jaxface.uncertainty(small, fitted, errors=CORRECTED["ibug68"])
        np.testing.assert_array_equal(found.axis_std, told.axis_std)
        assert not np.allclose(found.axis_std, jaxface.uncertainty(small, fitted).axis_std, rtol=0.1)

    def test_points_of_another_scheme_have_errors_of_their_own(self, small, fitted):
        dense = replace(fitted, landmark_weight=jnp.ones(478))
        told = jaxface.uncertainty(small, dense, errors=DETECTED["mediapipe478"])
        np.testing.assert_array_equal(jaxface.uncertainty(small, dense).axis_std, told.axis_std)

    def test_slopes_are_finite_where_a_point_weighs_nothing(self, small, face):
        landmarks = replace(face()[0], weight=jnp.ones(68).at[5].set(0.0))
        spread = lambda given: jnp.mean(jaxface.uncertainty(small, jaxface.fit(small, given)).vertex_std)
        slope = jax.jit(jax.grad(spread))(jax.tree.map(jnp.asarray, landmarks))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope)) and np.abs(slope.xy).max() > 0

    @pytest.mark.parametrize(
        "wrong",
        [Errors(-1.0, 2.0, 1.0), Errors(2.0, np.nan, 1.0), Errors(2.0, 2.0, np.inf), Errors("a", 1, 1)],
    )
    def test_errors_are_deviations(self, small, fitted, wrong):
        with pytest.raises(ValueError, match=r"errors\.\w+: got .*, takes a standard deviation in mm"):
            jaxface.uncertainty(small, fitted, errors=wrong)


class TestWhatIsSeen:
    def test_a_part_that_is_not_seen_is_less_sure(self, small, fitted):
        """Without the landmarks of the left eye its lids are less sure; those of the right eye stay as they were."""
        weights = [np.where(np.arange(68) // 6 == 7, of_left_eye, 1.0).astype(np.float32) for of_left_eye in (1, 0)]
        seen = [jaxface.uncertainty(small, replace(fitted, landmark_weight=weight)) for weight in weights]
        with_it, without = (np.asarray(one.coefficient_std) for one in seen)
        left, right = (8 + small.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right"))
        assert without[left] > 1.5 * with_it[left]
        assert without[right] == pytest.approx(with_it[right], rel=0.1)

    def test_what_lies_along_the_line_of_sight_is_less_sure(self, small, fitted, face):
        """Depth is z from the front; at a yaw of 60° it is mostly x, and Eq. 8 trusts the 3D landmarks more."""
        front = jaxface.fit(small, face(seed=1, euler_deg=(3.0, 0.0, 5.0))[0])
        (x, _, z), (turned_x, _, turned_z) = (
            np.asarray(jaxface.uncertainty(small, result).axis_std).mean(axis=0) for result in (front, fitted)
        )
        assert z / x > 1.1 * turned_z / turned_x

    def test_a_face_that_was_not_fitted_has_the_prior(self, small, face):
        landmarks = face()[0]
        blank = jaxface.fit(small, replace(landmarks, xy=np.full_like(landmarks.xy, np.nan)))
        assert int(blank.status) == Status.NON_FINITE_INPUT
        np.testing.assert_allclose(jaxface.uncertainty(small, blank).covariance, np.eye(14), atol=1e-5)

    def test_the_outside_adds(self, small, fitted):
        usual = DETECTED["ibug68"]
        more = usual._replace(outside=usual.outside + 3)
        one, two = (jaxface.uncertainty(small, fitted, errors=errors).axis_std for errors in (None, more))
        added = more.outside**2 - usual.outside**2
        np.testing.assert_allclose(two**2 - one**2, added, rtol=1e-2)


class TestArguments:
    def test_a_batch_says_what_to_do(self, small, fitted):
        batch = jax.tree.map(lambda leaf: leaf[None], fitted)
        with pytest.raises(ValueError, match="jax.vmap"):
            jaxface.uncertainty(small, batch)
        sure = jax.tree.map(lambda leaf: leaf[None], jaxface.uncertainty(small, fitted))
        with pytest.raises(ValueError, match=r"uncertainty: got a batch of shape \(1,\)"):
            sure.sample(small, fitted, jax.random.key(0), 3)
        with pytest.raises(ValueError, match=r"result: got a batch of shape \(1,\)"):
            jaxface.uncertainty(small, fitted).sample(small, batch, jax.random.key(0), 3)

    def test_options_of_another_kind_are_named(self, small, fitted):
        with pytest.raises(ValueError, match="options: got dict, takes a jaxface.FitOptions"):
            jaxface.uncertainty.__wrapped__(small, fitted, None, {})

    def test_errors_of_another_kind_are_named(self, small, fitted):
        with pytest.raises(ValueError, match=r"errors: got tuple, takes jaxface.fitting.Errors\(front"):
            jaxface.uncertainty.__wrapped__(small, fitted, errors=(1.0, 2.0, 3.0))  # past the tests' type checker

    def test_another_model_is_told(self, fitted):
        with pytest.raises(ValueError, match="coefficients"):
            jaxface.uncertainty(small_model(), fitted)

    def test_weights_say_how_many_points_were_fitted(self, small, fitted, face):
        dense = replace(fitted, landmark_weight=jnp.ones(478))
        covariance = jaxface.uncertainty(small, dense).covariance
        np.testing.assert_array_equal(
            covariance, jaxface.uncertainty(small, dense, face(scheme="mediapipe478")[0]).covariance
        )
        with pytest.raises(ValueError, match="landmarks: got ibug68, the result is of 478 points"):
            jaxface.uncertainty(small, dense, face()[0])


def test_a_face_is_placed_by_what_micc85_crops():
    assert PLACED_MM == CROP_MM


def test_a_face_is_placed_alike_by_either_scheme(small):
    sparse, dense = (np.asarray(placed_basis(small, scheme)) for scheme in ("ibug68", "mediapipe478"))
    assert np.abs(sparse - dense).max() < 0.02 * np.abs(sparse).max()


def test_the_picture_has_a_colour_for_each_deviation():
    model, result = small_model(), small_result()
    sure, unsure = (draw_uncertainty(model, result, np.full(len(model.mean), mm)) for mm in (1.0, 7.0))
    middle = np.s_[300:340, 300:340]
    assert sure[middle][..., 2].mean() > sure[middle][..., 0].mean()  # cold
    assert unsure[middle][..., 0].mean() > unsure[middle][..., 2].mean()  # hot


def test_a_head_to_the_left_is_as_unsure_as_one_to_the_right(small, face):
    result = jaxface.fit(small, face(seed=1, euler_deg=(0.0, 60.0, 0.0))[0])
    turned = lambda yaw: replace(result.pose, rotation=rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    left, right = (jaxface.uncertainty(small, replace(result, pose=turned(yaw))) for yaw in (-60.0, 60.0))
    np.testing.assert_allclose(left.vertex_std.mean(), right.vertex_std.mean(), rtol=0.1)


def test_the_caption_is_the_median_of_what_is_coloured(monkeypatch):
    """Within 100 mm of the nose tip."""
    model, result, said = small_model(), small_result(), []
    vertices = np.asarray(model.vertices(result.identity, result.expression))
    away = np.linalg.norm(vertices - model.landmark_positions(jnp.asarray(vertices), "ibug68")[30], axis=1)
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, at, text, **style: said.append(text))
    draw_uncertainty(model, result, away)
    assert f"standard deviation, median {np.median(away[away < 100]):.1f} mm" in said
