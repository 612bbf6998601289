"""What the rounds of a fit see of a face's landmarks: centred, and where they are many through the patterns that hold
all that they tell (``jaxface.fitting.coordinates``)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface import energies
from jaxface.camera import HIGHEST
from jaxface.fitting.coordinates import Coordinates
from jaxface.fitting.frame import Unit
from jaxface.fitting.marching import marched
from jaxface.model.morphable import LandmarkModel


class Sight(NamedTuple):
    """``mean``, ``xy`` and ``xyz`` are the landmarks of the mean face and those detected, about their middles, in K
    patterns or as they are; ``whole`` are the three before that. ``basis`` is the mean ones' motion with the
    coordinates of ``axes``, and ``prior`` λ of Eq. 10 in squares of the unit."""

    axes: Coordinates
    unit: Unit
    middle_2d: Float[Array, "2"]
    middle_3d: Float[Array, "3"]
    whole: tuple[Float[Array, "3 L"], Float[Array, "2 L"], Float[Array, "3 L"]]
    mean: Float[Array, "3 K"]
    xy: Float[Array, "2 K"]
    xyz: Float[Array, "3 K"]
    basis: Float[Array, "3*K N"]
    prior: Float[Array, ""]

    @property
    def weight(self) -> Float[Array, "L"] | None:
        return self.unit.weight

    def shown(self, coordinates, scale, rotation) -> tuple[Float[Array, "2 K"], Float[Array, "2"]]:
        """The 2D landmarks that pull in this shape and pose, about their middle, and that."""
        if self.axes.contour is None:
            return self.xy, self.middle_2d
        moved = marched(self.axes.contour, self.unit.xy, coordinates, scale, rotation)
        middle = energies.mean_point(moved, self.weight)
        return moved - middle[:, None], middle

    def points(self, coordinates) -> Float[Array, "3 K"]:
        """The landmarks of a face, about their middle."""
        moved = jnp.matmul(self.basis, coordinates, precision=HIGHEST).reshape(self.mean.shape)
        return self.mean + energies.recentred(moved, self.weight)

    def target(self, coordinates, scale, rotation, weights) -> energies.Target:
        """What the landmarks are to be at these λ2d and λ3d: both kinds merged."""
        return energies.merge(self.shown(coordinates, scale, rotation)[0], self.xyz, self.weight, *weights)

    def problem(self, coordinates, points, scale, rotation, target) -> energies.ShapeProblem:
        """The shape step from a face under a pose."""
        grams = (self.axes.gram, self.axes.squares) if self.weight is None else (None, None)
        return energies.ShapeProblem(
            coordinates, points, self.basis, *grams, self.axes.core, scale, rotation, target, self.prior
        )

    def cost(self, weights, scale, rotation):
        """Eq. 4 at these λ2d and λ3d, in mm² at the scale of the mean face, whose pose this is: a function of a face's
        coordinates, its landmarks in the image, and the 2D ones that pull."""

        def data(projected, xy, xyz):
            of_2d, of_3d = (energies.sum_of_squares(off, self.weight) for off in (projected[:2] - xy, projected - xyz))
            return weights[0] * of_2d + weights[1] * of_3d

        # What the patterns do not hold of the landmarks is as far from every face as it is from the first.
        beyond = 0.0
        if self.mean.shape != self.whole[0].shape:
            whole, sampled = (scale * energies.turned(rotation, points) for points in (self.whole[0], self.mean))
            beyond = data(whole, *self.whole[1:]) - data(sampled, self.xy, self.xyz)

        def cost(coordinates, projected, xy):
            priors = energies.priors(weights[0], weights[1], coordinates, self.prior)
            return (data(projected, xy, self.xyz) + beyond + priors) / scale**2

        return cost


def sight(model: LandmarkModel, axes: Coordinates, unit: Unit, prior: Float[Array, ""]) -> Sight:
    """What is seen of landmarks in a unit frame; weights of their own leave no patterns."""
    xy, xyz, weight = unit
    middle_2d, middle_3d = energies.mean_point(xy, weight), energies.mean_point(xyz, weight)
    whole = energies.recentred(model.centred, weight), xy - middle_2d[:, None], xyz - middle_3d[:, None]
    seen, basis = whole, axes.basis
    if weight is None and axes.patterns is not None and axes.sampled is not None:
        mean, xy, xyz = (jnp.matmul(points, axes.patterns, precision=HIGHEST) for points in whole)
        seen, basis = (mean, xy, xyz), axes.sampled
    return Sight(axes, unit, middle_2d, middle_3d, whole, *seen, basis, prior)
