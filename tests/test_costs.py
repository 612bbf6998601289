"""The cost along a fit against Eq. 4 and its first pose computed here, in NumPy and SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

import jaxface
from benchmarks.opponents.numpy_single import adaptive_weights, affine_pose
from jaxface import FitOptions
from jaxface.fitting import cost_history

pytestmark = pytest.mark.usefixtures("run_once")
PRIORS = np.repeat([FitOptions().identity_prior, FitOptions().expression_prior], [8, 6])


def test_is_eq_4_at_the_start_and_after_each_round(x64, small, face):
    rng = np.random.default_rng(0)
    landmarks, _ = face(seed=1, euler_deg=(5, 30, -10), dtype=np.float64)
    xy, xyz = (leaf + rng.normal(size=leaf.shape) for leaf in (landmarks.xy, landmarks.xyz))
    landmarks = jaxface.Landmarks(xy, xyz)
    options = lambda rounds: FitOptions(variant="2d+3d+w", iterations=rounds)
    first, last = (jaxface.fit(small, landmarks, options(rounds)) for rounds in (1, 2))

    centred = lambda points: points - points.mean(axis=0)
    points_of = lambda mesh: centred(np.asarray(small.landmark_positions(mesh, "ibug68")))

    def residuals(points, scale, rotation, weights):
        projected = scale * points @ rotation.T
        off = projected[:, :2] - centred(xy), projected - centred(xyz)
        return np.concatenate([np.sqrt(weight) * each.ravel() for weight, each in zip(weights, off, strict=True)])

    mean = points_of(jnp.asarray(small.mean, float))
    scale, rotation = affine_pose(mean, centred(xy))
    weights = adaptive_weights(rotation)
    turned = lambda step: (scale * np.exp(step[3]), Rotation.from_rotvec(step[:3]).as_matrix() @ rotation)
    found = least_squares(lambda step: residuals(mean, *turned(step), weights), np.zeros(4), xtol=1e-12)
    first_scale, first_rotation = turned(found.x)

    weights = float(last.weight_2d), float(last.weight_3d)
    assert abs(weights[0] - float(first.weight_2d)) > 1e-3  # or the choice of weights is not tested

    def eq_4(points, scale, rotation, coefficients):
        data = np.sum(residuals(points, scale, rotation, weights) ** 2) / first_scale**2
        return data + sum(weights) * np.sum(PRIORS * np.square(coefficients))

    expected = [eq_4(mean, first_scale, first_rotation, 0.0)]
    for result in (first, last):
        points = points_of(jaxface.vertices(small, result))
        coefficients = np.concatenate([result.identity, result.expression])
        expected.append(eq_4(points, float(result.pose.scale), np.asarray(result.pose.rotation), coefficients))
    costs = np.asarray(cost_history(small, landmarks, options(2)))
    np.testing.assert_allclose(costs, expected, rtol=1e-6)
    assert costs[0] > 2 * costs[1] and costs[-1] == pytest.approx(float(last.cost), rel=1e-8)
