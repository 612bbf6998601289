"""The equations against NumPy in float64, with t and t' found by brute least squares."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import camera, energies

RNG = np.random.default_rng(3)
L, N = 12, 5
MEAN, BASIS, COEFFICIENTS = RNG.normal(size=(L, 3)), 0.3 * RNG.normal(size=(L, 3, N)), RNG.normal(size=N)
ROTATION, SCALE = np.asarray(camera.rotation_from_euler(jnp.array([12.0, 50.0, -8.0])), np.float64), 1.7
XY, XYZ, PRIOR = RNG.normal(size=(L, 2)), RNG.normal(size=(L, 3)), 0.7
TURNED = SCALE * (MEAN + BASIS @ COEFFICIENTS) @ ROTATION.T


def least_over_shift(residual, weight):
    """min over one shift of Σ w |residual + shift|², by ordinary least squares."""
    root = np.sqrt(weight)[:, None]
    shift = np.linalg.lstsq(root, -root * residual, rcond=None)[0]
    return (weight[:, None] * (residual + shift) ** 2).sum()


def f32(*arrays):
    return [None if a is None else jnp.asarray(a, jnp.float32) for a in arrays]


@pytest.mark.parametrize("weight", [None, RNG.uniform(0.2, 2, L)])
def test_energy_is_eq_4_at_its_best_shifts(weight):
    w = np.ones(L) if weight is None else weight
    data_2d = least_over_shift(TURNED[:, :2] - XY, w)  # Eq. 5
    data_3d = least_over_shift(TURNED - XYZ, w)  # Eq. 6
    prior = PRIOR * (COEFFICIENTS**2).sum()  # Eqs 10-12 without their common factor
    expected = 0.3 * data_2d + 0.6 * data_3d + 0.9 * prior
    arguments = f32(TURNED.T, XY.T, XYZ.T, weight, 0.3, 0.6, COEFFICIENTS, PRIOR)
    np.testing.assert_allclose(energies.energy(*arguments), expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [None, RNG.uniform(0.2, 2, L)])
def test_merged_target_has_the_energy_up_to_a_constant(weight):
    """One anisotropic 3D problem in place of both data terms: the difference does not depend on the face."""
    apart = [energies.centred(*f32(points.T, weight)) for points in (XY, XYZ)]
    target = energies.merge(*apart, *f32(weight, 0.3, 0.6))
    w = np.ones(L) if weight is None else weight

    def difference(points):
        centred = np.asarray(energies.centred(*f32(points.T, weight)))
        residual = np.asarray(energies.whitened(jnp.asarray(centred) - target.points, target))
        terms = 0.3 * least_over_shift(points[:, :2] - XY, w) + 0.6 * least_over_shift(points - XYZ, w)
        return terms - (residual**2).sum()

    centred_gap = 0.3 * 0.6 / 0.9 * least_over_shift(XY - XYZ[:, :2], w)
    for points in (TURNED, 2 * TURNED + 1, MEAN):
        np.testing.assert_allclose(difference(points), centred_gap, rtol=1e-4)


def test_pose_steps_turn_and_scale():
    step = np.array([0.1, -0.2, 0.3, 0.4])
    scale, rotation = energies.pose_at(*f32(step, SCALE, ROTATION))
    from scipy.spatial.transform import Rotation

    np.testing.assert_allclose(rotation, Rotation.from_quat([*step[:3] / 2, 1.0]).as_matrix() @ ROTATION, atol=1e-6)
    np.testing.assert_allclose(scale, SCALE * np.exp(0.4), rtol=1e-6)


def test_a_zero_weight_has_a_finite_root_and_slope():
    import jax

    target = energies.Target(*f32(XYZ.T, [1.0, 1.0, 0.0]), None)
    slope = jax.grad(lambda axes: energies.whitened(target.points, energies.Target(target.points, axes, None)).sum())
    assert np.isfinite(slope(target.axes)).all()
