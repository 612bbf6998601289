"""The alternating loop for one face: pose, then four times weights, shape and pose (Section 3.2)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface import camera, energies, solvers
from jaxface.calibration import corrected, independent
from jaxface.camera import HIGHEST
from jaxface.fitting.coordinates import Coordinates
from jaxface.fitting.frame import Frame, Unit, to_unit
from jaxface.fitting.options import FitOptions
from jaxface.fitting.pose import data_weights, initial_pose
from jaxface.fitting.robust import landmark_weights
from jaxface.fitting.sight import sight
from jaxface.model.morphable import LandmarkModel
from jaxface.solvers.lanes import joined
from jaxface.types import PAPER, FitResult, Landmarks, Pose, Status

SETTLED_MM = 0.05
"""A fit has converged when its last round moves the landmarks by less than this, root mean square."""


class Ended(NamedTuple):
    """Where the rounds end, in a unit frame: the face, its pose, the landmarks' middles (where those of the face come
    to lie), their own ``weight``, λ2d and λ3d, Eq. 4, and how far (mm) the last round moved the landmarks."""

    coefficients: Float[Array, "N"]
    scale: Float[Array, ""]
    rotation: Float[Array, "3 3"]
    middle_2d: Float[Array, "2"]
    middle_3d: Float[Array, "3"]
    weight: Float[Array, "L"] | None
    weights: tuple[Float[Array, ""], Float[Array, ""]]
    cost: Float[Array, ""]
    moved: Float[Array, ""]


def fit_one(
    model: LandmarkModel, axes: Coordinates, landmarks: Landmarks, options: FitOptions
) -> tuple[FitResult, Callable[[], Float[Array, "rounds"]]]:
    """Fit one face. Pure: ``jit``, ``vmap`` and ``grad`` go through it; ``options`` is static.

    A face that cannot be fitted comes back as the mean face with a status that says why. Beside it comes a function
    that gives Eq. 4 at the start and after each round, for those who want it.
    """
    unit, frame, status = to_unit(landmarks, model.frontal)
    ended, costs, _ = alternate(model, axes, options, believed(model, axes, options, unit))
    return finished(model, frame, status, ended, options), costs


def believed(model: LandmarkModel, axes: Coordinates, options: FitOptions, unit: Unit) -> Unit:
    """The landmarks with the weights that the options' loss gives them."""
    if options.loss == "squared":
        return unit
    once = partial(alternate, model, axes, replace(options, iterations=1))
    return unit._replace(weight=landmark_weights(lambda unit, stiffness: once(unit, stiffness)[2](), unit))


def begun(model: LandmarkModel, axes: Coordinates, options: FitOptions, unit: Unit, solve_pose):
    """The landmarks that the rounds are to take, a function from the yaw to λ2d and λ3d, and the mean face's pose:
    ``scale, rotation``."""
    if (table := axes.calibration) is None:
        scale, rotation, xy = initial_pose(model, axes, *unit, options.variant, solve_pose)
        return unit._replace(xy=xy), partial(data_weights, options.variant), scale, rotation
    scale, rotation, _ = initial_pose(model, axes, *unit, PAPER, solve_pose)
    xyz, weight, depth = corrected(table, model.scheme, scale, rotation, *unit)
    posed = lambda xyz: initial_pose(model, axes, xyz[:2], xyz, weight, "2d+3d", solve_pose)
    scale, rotation, _ = posed(xyz)
    xyz = independent(table, model, scale, rotation, xyz, unit.weight)
    scale, rotation, xy = posed(xyz)
    return Unit(xy, xyz, weight), lambda _: (1 - depth, depth), scale, rotation


def alternate(model: LandmarkModel, axes: Coordinates, options: FitOptions, unit: Unit, stiffness: float = 1.0):
    """The loop in a unit frame, its priors times ``stiffness``: its `Ended`, and functions that give Eq. 4 as above and
    how far each landmark is off in the image, squared (L,), in mm² at the mean face's scale."""
    solver = solvers.solver(options.solver)
    unit, weights_at, first_scale, first_rotation = begun(model, axes, options, unit, solver.solve_pose)
    prior = jnp.asarray(stiffness * options.identity_prior, unit.xy.dtype) * first_scale**2
    seen = sight(model, axes, unit, prior)

    def problem_at(coordinates, points, scale, rotation):
        weights = weights_at(camera.yaw_deg(rotation))
        target = seen.target(coordinates, scale, rotation, weights)
        return seen.problem(coordinates, points, scale, rotation, target), weights

    def round_(carry, _):
        coordinates, points, scale, rotation, before, *_ = carry
        problem, weights = problem_at(coordinates, points, scale, rotation)
        coordinates = solver.solve_shape(problem, prepared)
        points = seen.points(coordinates)
        scale, rotation = solver.solve_pose(points, problem.target, scale, rotation, "round")
        after = scale * energies.turned(rotation, points)
        change = after - before
        moved = jnp.sqrt(jnp.vdot(change, change, precision=HIGHEST) / unit.xy.shape[1]) / scale
        return (coordinates, points, scale, rotation, after, weights, moved), (coordinates, scale, rotation)

    nothing = jnp.zeros((), prior.dtype), jnp.zeros(axes.basis.shape[-1], prior.dtype)
    (zero, still), first_points = joined((nothing, seen.mean), first_scale)
    first = still, first_scale, first_rotation
    prepared = solver.prepare_shape(problem_at(still, seen.mean, first_scale, first_rotation)[0])
    projected = first_scale * energies.turned(first_rotation, seen.mean)
    start = still, first_points, first_scale, first_rotation, projected, (zero, zero), zero
    last, states = jax.lax.scan(round_, start, length=options.iterations)

    coordinates, _, scale, rotation, projected, weights, moved = last
    cost_of = seen.cost(weights, first_scale, first_rotation)
    xy, middle_2d = seen.shown(coordinates, scale, rotation)
    cost = cost_of(coordinates, projected, xy)

    def cost_at(coordinates, scale, rotation):
        projected = scale * energies.turned(rotation, seen.points(coordinates))
        return cost_of(coordinates, projected, seen.shown(coordinates, scale, rotation)[0])

    def costs():
        every = jax.tree.map(lambda one, later: jnp.append(one[None], later, axis=0), first, states)
        return jax.vmap(cost_at)(*every)

    def off():
        away = (projected - energies.merge(xy, seen.xyz, unit.weight, *weights).points)[:2] / first_scale
        return jnp.sum(away**2, axis=0)

    coefficients = jnp.matmul(axes.mixing, coordinates, precision=HIGHEST)
    ended = Ended(coefficients, scale, rotation, middle_2d, seen.middle_3d, unit.weight, weights, cost, moved)
    return ended, costs, off


def finished(model: LandmarkModel, frame: Frame, status, ended: Ended, options: FitOptions) -> FitResult:
    """The result in pixels."""
    coefficients, scale, rotation, middle_2d, middle_3d, weight, weights, cost, moved = ended
    # The landmarks' middle of this face, from the model's origin, as the camera sees it.
    middle, drift = model.middle, model.drift
    if weight is not None:
        middle = energies.mean_point(model.mean.T, weight)
        drift = energies.mean_point(jnp.moveaxis(model.basis, 0, -1), weight)
    middle = middle + jnp.matmul(drift, coefficients, precision=HIGHEST)
    middle = scale * jnp.matmul(rotation, middle, precision=HIGHEST)
    translation = middle_2d - middle[:2]
    offset = middle + jnp.append(translation, 0.0) - middle_3d
    status = jnp.where((status == Status.CONVERGED) & (moved > SETTLED_MM), Status.MAX_ITERATIONS, status)
    result = FitResult(
        identity=coefficients[: model.identity_size],
        expression=coefficients[model.identity_size :],
        pose=Pose(scale * frame.radius, rotation, translation * frame.radius + frame.centre),
        depth_offset=offset * frame.radius,
        weight_2d=weights[0],
        weight_3d=weights[1],
        cost=cost,
        iterations=jnp.asarray(options.iterations, jnp.int32),
        status=status.astype(jnp.int32),
        landmark_weight=weight,
        variant=options.variant,
    )
    return _or_mean_face(result)


def _or_mean_face(result: FitResult) -> FitResult:
    """The result, or the mean face from the front where the fit could not be begun or left the finite numbers."""
    sizes = jnp.stack([result.pose.scale, result.cost])  # of coefficients or a rotation not finite the cost is neither
    finite = jnp.all(jnp.isfinite(jnp.concatenate([sizes, result.pose.translation, result.depth_offset])))
    fitted = result.status <= Status.MAX_ITERATIONS
    status = jnp.where(fitted & ~finite, Status.DIVERGED, result.status)
    blank = jax.tree.map(jnp.zeros_like, result)
    frontal = jnp.asarray(camera.FRONTAL, result.pose.rotation.dtype)
    pose = Pose(jnp.ones_like(result.pose.scale), frontal, blank.pose.translation)
    even = None if result.landmark_weight is None else jnp.ones_like(result.landmark_weight)
    mean_face = replace(blank, pose=pose, iterations=result.iterations, status=status, landmark_weight=even)
    return jax.tree.map(partial(jnp.where, fitted & finite), result, mean_face)
