"""The alternating loop for one face: pose, then four times weights, shape and pose (Section 3.2)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface import camera, energies, solvers
from jaxface.camera import HIGHEST
from jaxface.fitting.frame import to_unit
from jaxface.fitting.options import FitOptions
from jaxface.fitting.pose import data_weights, initial_pose
from jaxface.model.morphable import LandmarkModel, gram
from jaxface.types import FitResult, Landmarks, Pose, Status

SETTLED_MM = 0.05
"""A fit has converged when its last round moves the landmarks by less than this, root mean square."""


def fit_one(model: LandmarkModel, landmarks: Landmarks, options: FitOptions) -> FitResult:
    """Fit one face. Pure: ``jit``, ``vmap`` and ``grad`` go through it; ``options`` is static.

    A face that cannot be fitted comes back as the mean face with a status that says why.
    """
    solver = solvers.solver(options.solver)
    unit, frame, status = to_unit(landmarks, _frontal(model.mean))
    scale, rotation, xy = initial_pose(model, unit, options.variant, solver.solve_pose)

    weight, size = unit.weight, model.basis.shape[-1]
    first_scale = scale
    prior = jnp.where(jnp.arange(size) < model.identity_size, options.identity_prior, options.expression_prior)
    prior = prior.astype(xy.dtype) * first_scale**2  # mm² in the fit's units, at the scale of the mean face
    mean, basis = energies.centred(model.mean, weight), energies.centred(model.basis, weight)
    shape_gram = model.gram if weight is None else gram(model.basis, weight)

    def turned_by(points, scale, rotation):
        return scale * jnp.matmul(points, rotation.T, precision=HIGHEST)

    def round_(carry, _):
        coefficients, scale, rotation, before = carry
        weight_2d, weight_3d = data_weights(options.variant, camera.euler_deg(rotation)[1])
        target = energies.merge(xy, unit.xyz, weight, weight_2d, weight_3d)
        problem = energies.ShapeProblem(
            mean=mean,
            basis=basis,
            gram=shape_gram,
            scale=scale,
            rotation=rotation,
            target=target,
            prior=(weight_2d + weight_3d) * prior,
        )
        new = solver.solve_shape(problem, coefficients)
        points = energies.centred(model.points(new), weight)
        new_scale, new_rotation = solver.solve_pose(points, target, scale, rotation)
        after = turned_by(points, new_scale, new_rotation)
        moved = jnp.sqrt(jnp.mean(jnp.sum((after - before) ** 2, axis=-1))) / new_scale
        return (new, new_scale, new_rotation, after), (weight_2d, weight_3d, moved)

    start = (jnp.zeros(size, xy.dtype), scale, rotation, turned_by(mean, scale, rotation))
    (coefficients, scale, rotation, _), history = jax.lax.scan(round_, start, length=options.iterations)
    weight_2d, weight_3d, moved = jax.tree.map(lambda values: values[-1], history)

    turned = turned_by(model.points(coefficients), scale, rotation)
    translation = energies.mean_point(xy - turned[:, :2], weight)
    projected = turned + jnp.append(translation, 0.0)
    cost = energies.energy(projected, xy, unit.xyz, weight, weight_2d, weight_3d, coefficients, prior)
    offset = energies.mean_point(projected - unit.xyz, weight)
    status = jnp.where((status == Status.CONVERGED) & (moved > SETTLED_MM), Status.MAX_ITERATIONS, status)
    result = FitResult(
        identity=coefficients[: model.identity_size],
        expression=coefficients[model.identity_size :],
        pose=Pose(scale * frame.radius, rotation, translation * frame.radius + frame.centre),
        depth_offset=offset * frame.radius,
        weight_2d=weight_2d,
        weight_3d=weight_3d,
        cost=cost / first_scale**2,
        iterations=jnp.asarray(options.iterations, jnp.int32),
        status=status.astype(jnp.int32),
    )
    return _or_mean_face(result)


def _frontal(mean: Float[Array, "L 3"]) -> Float[Array, "L 3"]:
    """The mean face's landmarks seen from the front, with 2D mean 0 and root mean square radius 1."""
    points = (mean - mean.mean(axis=0)) @ camera.FRONTAL.astype(mean.dtype)
    return points / jnp.sqrt(jnp.mean(jnp.sum(points[:, :2] ** 2, axis=-1)))


def _or_mean_face(result: FitResult) -> FitResult:
    """The result, or the mean face from the front where the fit could not be begun or left the finite numbers."""
    finite = jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(result)]).all()
    fitted = result.status <= Status.MAX_ITERATIONS
    status = jnp.where(fitted & ~finite, Status.DIVERGED, result.status)
    blank = jax.tree.map(jnp.zeros_like, result)
    frontal = jnp.asarray(camera.FRONTAL, result.pose.rotation.dtype)
    pose = Pose(jnp.ones_like(result.pose.scale), frontal, blank.pose.translation)
    mean_face = replace(blank, pose=pose, iterations=result.iterations, status=status)
    return jax.tree.map(lambda ours, theirs: jnp.where(fitted & finite, ours, theirs), result, mean_face)
