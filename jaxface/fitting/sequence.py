"""``fit_sequence``: one person in many pictures. The loop of a single fit, with one identity for all of them.

Each round solves for all shapes at once (``jaxface.fitting.shared_shape``), then for each pose by itself. The poses of
a video are then steadied: Gauss-Newton on the sum of the pictures' energies, each as its own curvature has it, and of
the ties between neighbours.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import jaxlie
from jaxtyping import Array, Float

from jaxface import camera, energies, solvers
from jaxface.camera import HIGHEST
from jaxface.fitting.api import at_landmarks, check, floating, require_amount
from jaxface.fitting.chain import solve_chain
from jaxface.fitting.coordinates import Coordinates
from jaxface.fitting.frame import Frame, relative, to_unit
from jaxface.fitting.loop import Ended, believed, finished
from jaxface.fitting.options import FitOptions, joint
from jaxface.fitting.pose import data_weights, initial_pose
from jaxface.fitting.shared_shape import solve_shapes
from jaxface.model.morphable import LandmarkModel, MorphableModel
from jaxface.types import FitResult, Landmarks, Status

_SMOOTHEST = 1e6
SMOOTHNESS = 5.5
"""For the frames of a video; ``docs/video.md`` records how it was chosen."""

MOTION_MM = 0.5
"""An expression that moves the landmarks by more than this from one frame to the next, root mean square, is let go, as
a blink or a word is over within a few frames; and so is the place of a head that moves by more."""

_STEPS = 2
"""Of Gauss-Newton a round, to steady the poses."""


def fit_sequence(
    model: MorphableModel, landmarks: Landmarks, options: FitOptions = FitOptions(), smoothness: float = 0.0
) -> FitResult:
    """Fit one person in many pictures: one identity, and an expression and a pose a picture.

    Pure: ``jax.jit``, ``jax.vmap`` and ``jax.grad`` go through it.

    Args:
      model: a face model.
      landmarks: one face in F pictures: ``xy`` (F, L, 2) and ``xyz`` (F, L, 3) in pixels. A picture without the face
        has landmarks that are NaN. Weights are relative over all pictures.
      options: as in ``jaxface.fit``, with one of the paper's variants, by default its method; the solver is that of the
        poses.
      smoothness: 0 for photographs. For the frames of a video, in order, how much a landmark's motion from one frame
        to the next weighs against its distance from where it was detected; ``jaxface.fitting.SMOOTHNESS`` suits 30
        frames a second. Where frames without the face lie between two, they are not held together.

    Returns:
      A ``FitResult`` with an axis of pictures in front of every leaf; the identity is the same in all. A picture that
      cannot be fitted has a ``status`` that says why, no expression and the pose of a face from the front, and changes
      no other one.

    Raises:
      ValueError: as ``jaxface.fit_batch``; or there is no picture, or ``smoothness`` is no number of 0 or more, at most
        1e6.
    """
    check(model, landmarks, options, batch=True)
    options = joint(options)
    require_amount("smoothness", smoothness, f"one number of 0 or more, at most {_SMOOTHEST:g}", _SMOOTHEST)
    if not len(landmarks.xy):
        raise ValueError("landmarks: got 0 pictures, takes one or more")
    landmarks = floating(landmarks, model)
    there, axes = at_landmarks(model, landmarks, options)
    return _fit_sequence(there, axes, landmarks, options, jnp.asarray(smoothness, there.mean.dtype))


@partial(jax.jit, static_argnames="options")
def _fit_sequence(
    model: LandmarkModel, axes: Coordinates, landmarks: Landmarks, options: FitOptions, smoothness: Float[Array, ""]
) -> FitResult:
    solve_pose = solvers.solver(options.solver).solve_pose
    unit, frame, status = jax.vmap(to_unit, (0, None))(landmarks, model.frontal)
    if landmarks.weight is not None:  # one picture may be believed less than another
        good = (status == Status.CONVERGED)[:, None]
        every = relative(jnp.where(good, landmarks.weight, 0.0))
        unit = unit._replace(weight=jnp.where(good, every, 1.0))
    xy, xyz, weight = jax.vmap(partial(believed, model, axes, options))(unit)
    begin = lambda xy, xyz, weight: initial_pose(model, axes, xy, xyz, weight, options.variant, solve_pose)
    size, rotation, xy = jax.vmap(begin)(xy, xyz, weight)
    # A picture whose pose is not told, as by four points in a plane, may not reach the others.
    told = (size > 0) & jnp.isfinite(size + jnp.sum(rotation, (1, 2)) + jnp.sum(xy, (1, 2)))
    status = jnp.where((status == Status.CONVERGED) & ~told, Status.DIVERGED, status)
    frontal = jnp.ones_like(size[0]), jnp.asarray(camera.FRONTAL, xy.dtype), model.frontal[:2], model.frontal
    even = None if weight is None else jnp.ones_like(weight[0])
    keep = lambda value, otherwise: jnp.where(told.reshape(-1, *[1] * otherwise.ndim), value, otherwise)
    size, rotation, xy, xyz, weight = jax.tree.map(keep, (size, rotation, xy, xyz, weight), (*frontal, even))
    # From here on in mm at the scale of the mean face, so that a large photograph says no more than a small one.
    pixels_a_mm = frame.radius * size
    xy, xyz = xy / size[:, None, None], xyz / size[:, None, None]
    middle_2d, middle_3d = (jax.vmap(energies.mean_point)(points, weight) for points in (xy, xyz))
    present = (status == Status.CONVERGED).astype(xy.dtype)
    linked = jnp.where(smoothness > 0, present * jnp.roll(present, 1).at[0].set(0.0), 0.0)  # to the frame before

    def target_at(xy, xyz, weight, rotation):
        weights = data_weights(options.variant, camera.yaw_deg(rotation))
        return energies.merge(xy, xyz, weight, *weights), weights

    def round_(carry, _):
        scale, rotation, before, held = carry
        target, weights = jax.vmap(target_at)(xy - middle_2d[..., None], xyz - middle_3d[..., None], weight, rotation)
        identity, expression = solve_shapes(model, target, scale, rotation, present, held, options, smoothness)
        points = jax.vmap(partial(_points, model, identity))(expression, weight)
        scale, rotation = jax.vmap(partial(solve_pose, stage="round"))(points, target, scale, rotation)
        scale, rotation = _steadied(points, target, scale, rotation, pixels_a_mm, linked, smoothness)
        after = scale[:, None, None] * jax.vmap(energies.turned)(rotation, points)
        moved = jnp.sqrt(jnp.mean(jnp.sum((after - before) ** 2, axis=1), axis=1)) / scale
        return (scale, rotation, after, linked * _stillness(model, expression)), (identity, expression, weights, moved)

    start = jnp.ones_like(size), rotation, jnp.zeros_like(xyz), jnp.zeros_like(linked)
    (scale, rotation, projected, _), history = jax.lax.scan(round_, start, length=options.iterations)
    identity, expression, weights, moved = jax.tree.map(lambda values: values[-1], history)
    frame = Frame(frame.centre, pixels_a_mm)
    middle_2d = _steadied_middles(middle_2d * pixels_a_mm[:, None] + frame.centre, pixels_a_mm, linked, smoothness)
    middle_2d = (middle_2d - frame.centre) / pixels_a_mm[:, None]

    every = jnp.broadcast_to(identity, (len(expression), len(identity)))
    coefficients = jnp.concatenate([every, expression], axis=1)
    alpha, beta = options.identity_prior, options.expression_prior
    root = jnp.sqrt(jnp.where(jnp.arange(coefficients.shape[1]) < len(identity), alpha, beta)).astype(xy.dtype)
    energy = lambda coefficients, weights, *points: energies.energy(
        *points, *weights, coefficients=root * coefficients, prior=jnp.ones_like(pixels_a_mm[0])
    )
    cost = jax.vmap(energy)(coefficients, weights, projected, xy, xyz, weight)
    ended = Ended(coefficients, scale, rotation, middle_2d, middle_3d, weight, weights, cost, moved)
    results = jax.vmap(partial(finished, model, options=options))(frame, status, ended)
    return replace(results, identity=jnp.where(jnp.isfinite(identity).all(), every, 0.0))


def _points(model: LandmarkModel, identity, expression, weight) -> Float[Array, "3 L"]:
    """The centred landmarks of a face."""
    moved = jnp.einsum("lcn,n->cl", model.basis, jnp.concatenate([identity, expression]), precision=HIGHEST)
    return energies.centred(model.mean.T + moved, weight)


def _stillness(model: LandmarkModel, expression: Float[Array, "F Nb"]) -> Float[Array, "F"]:
    """From 1 to 0, how still each frame's expression is since the one before: Geman and McClure's weights."""
    motion = expression - jnp.roll(expression, 1, axis=0)
    moved = jnp.einsum("lcn,fn->flc", model.basis[..., model.identity_size :], motion, precision=HIGHEST)
    return (1 + jnp.mean(jnp.sum(moved**2, axis=2), axis=1) / MOTION_MM**2) ** -2


def _steadied(points: Float[Array, "F 3 L"], target: energies.Target, scale, rotation, pixels_a_mm, linked, smoothness):
    """The poses, held to their neighbours: a turn or growth between two frames costs what it moves the landmarks."""
    structured = solvers.solver("structured")  # jaxopt is imported where something is fitted
    known = jax.vmap(structured.moments)(points, target)
    across, up, deep = jnp.mean(jnp.sum(points**2, axis=2), axis=0)
    tie = smoothness * jnp.diag(jnp.stack([deep, deep, across + up, across + up]))  # what is seen of it from the front

    def step(_, pose):
        scale, rotation = pose
        _, slope, (gauss, _) = jax.vmap(structured.pose_normal_equations, out_axes=(0, 0, 1))(pose, known)
        back = jnp.swapaxes(jnp.roll(rotation, 1, axis=0), 1, 2)
        turn = jnp.where(linked[:, None, None] > 0, jnp.matmul(rotation, back, precision=HIGHEST), jnp.eye(3))
        turned = jax.vmap(lambda matrix: jaxlie.SO3.from_matrix(matrix).log())(turn.astype(rotation.dtype))
        size = jnp.log(scale * pixels_a_mm)
        apart = jnp.concatenate([turned, (size - jnp.roll(size, 1))[:, None]], axis=1)
        pull = linked[:, None] * jnp.matmul(apart, tie, precision=HIGHEST)
        right = jnp.roll(pull, -1, axis=0) - pull - slope
        change = solve_chain(gauss, tie, linked, right[..., None])[..., 0]
        return jax.vmap(energies.pose_at)(change, scale, rotation)

    return jax.lax.fori_loop(0, _STEPS, step, (scale, rotation))


def _steadied_middles(middle: Float[Array, "F 2"], pixels_a_mm, linked, smoothness) -> Float[Array, "F 2"]:
    """The middles of the landmarks in the image, in pixels, held to their neighbours unless the head moves on."""
    moved = (middle - jnp.roll(middle, 1, axis=0)) / pixels_a_mm[:, None]
    held = linked * (1 + jnp.sum(moved**2, axis=1) / MOTION_MM**2) ** -2
    one = jnp.ones((1, 1), middle.dtype)
    return solve_chain(jnp.broadcast_to(one, (len(middle), 1, 1)), smoothness * one, held, middle[:, None])[:, 0]
