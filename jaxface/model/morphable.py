"""The linear face model, Eq. 1: M = mean + identity α + expression β, in millimetres.

A fit never touches the mesh: it sees the model at its landmarks (``LandmarkModel``).
"""

from dataclasses import field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxface.camera import FRONTAL, HIGHEST
from jaxface.pytree import pytree
from jaxface.types import AnyArray, Scheme


@pytree
class Embedding:
    """L points that ride on a mesh: ``triangle[i]`` is a row of the model's triangles, ``barycentric[i]`` sums to 1."""

    triangle: Int[Array | np.ndarray, "L"]
    barycentric: Float[Array | np.ndarray, "L 3"]

    def on(self, triangles: AnyArray, vertices: Float[np.ndarray, "*b V 3"]) -> Float[np.ndarray, "*b L 3"]:
        """The points on meshes of these triangles, in NumPy and in the vertices' precision."""
        corners = np.asarray(triangles)[np.asarray(self.triangle)]
        weights = np.asarray(self.barycentric, vertices.dtype)
        return np.einsum("lk,...lkc->...lc", weights, vertices[..., corners, :])


@pytree
class MorphableModel:
    """A 3D morphable model in the model frame (mm; x to the subject's left, y up, z out of the face).

    ``identity`` and ``expression`` are multiplied by their standard deviations, so coefficients are standard normal
    and the priors of Eqs 11-12 are plain sums of squares; a blendshape's whole extent stands for its own.
    ``landmarks`` maps a scheme's name to its points on the surface. The texture atlas has its own vertices, because a
    seam has two texture points at one vertex: texture vertex k lies at ``uv[k]`` (origin bottom left) and belongs to
    mesh vertex ``uv_vertices[k]``; ``uv_triangles`` runs parallel to ``triangles``. ``symmetry[v]`` is the vertex
    across the sagittal plane from v. The three atlas fields and ``symmetry`` are ``None`` for a model that has none.
    """

    mean: Float[Array, "V 3"]
    identity: Float[Array, "V 3 Na"]
    expression: Float[Array, "V 3 Nb"]
    triangles: Int[Array, "F 3"]
    landmarks: dict[str, Embedding]
    uv: Float[Array, "T 2"] | None = None
    uv_vertices: Int[Array, "T"] | None = None
    uv_triangles: Int[Array, "F 3"] | None = None
    symmetry: Int[Array, "V"] | None = None
    name: str = field(default="unnamed", metadata={"static": True})
    licence: str = field(default="unknown", metadata={"static": True})
    expression_names: tuple[str, ...] = field(default=(), metadata={"static": True})

    def vertices(
        self, identity: Float[AnyArray, "*b Na"], expression: Float[AnyArray, "*b Nb"]
    ) -> Float[Array, "*b V 3"]:
        """The face of these coefficients, Eq. 1.

        Raises:
          ValueError: their number is another model's.
        """
        given, taken = (identity.shape[-1], expression.shape[-1]), (self.identity.shape[-1], self.expression.shape[-1])
        if given != taken:
            raise ValueError(f"identity and expression: got {given} coefficients, the model {self.name!r} has {taken}")
        return _face(self.mean, self.identity, self.expression, identity, expression)

    def landmark_positions(self, vertices: Float[Array, "*b V 3"], scheme: str) -> Float[Array, "*b L 3"]:
        """Where a scheme's points lie on a mesh of this model."""
        return _riding(self.landmarks[scheme], self.triangles, vertices)

    def at_landmarks(self, scheme: Scheme) -> "LandmarkModel":
        """This model seen at one scheme's points: what a fit needs, computed once a model.

        In JAX, or in NumPy for a model of NumPy arrays, which has nothing to compile.
        """
        xp = self.mean.__array_namespace__()
        embedding = self.landmarks[scheme]
        corners = self.triangles[embedding.triangle]
        with jax.default_matmul_precision("highest"):
            at = lambda field: xp.einsum("lk,lkc...->lc...", embedding.barycentric, field[corners])
            edges = self.mean[self.triangles[:, 1:]] - self.mean[self.triangles[:, :1]]
            facing = xp.cross(edges[:, 0], edges[:, 1])
            normals = at(_summed_at(self.triangles, facing[:, None], like=self.mean))
            mean, basis = at(self.mean), xp.concatenate([at(self.identity), at(self.expression)], axis=-1)
            middle = mean.mean(axis=0)
            centred = (mean - middle).T
            frontal = centred * np.diagonal(FRONTAL).astype(mean.dtype)[:, None]
            return LandmarkModel(
                mean=mean,
                basis=basis,
                middle=middle,
                drift=basis.mean(axis=0),
                centred=centred,
                frontal=frontal / xp.sqrt(xp.mean(xp.sum(frontal[:2] ** 2, axis=0))),
                normals=normals / xp.linalg.norm(normals, axis=-1, keepdims=True),
                identity_size=self.identity.shape[-1],
                scheme=scheme,
            )


# Compiled whole: outside of jit each of their steps would be a program of its own.
@jax.jit
def _face(mean, identity_basis, expression_basis, identity, expression):
    moved_by = partial(jnp.einsum, "vcn,...n->...vc", precision=HIGHEST)
    return mean + (moved_by(identity_basis, identity) + moved_by(expression_basis, expression))


@jax.jit
def _riding(embedding: Embedding, triangles, vertices):
    corners = vertices[..., triangles[embedding.triangle], :]
    return jnp.einsum("lk,...lkc->...lc", embedding.barycentric, corners, precision=HIGHEST)


def _summed_at(index, values, like):
    """Values added up where they belong in an array such as ``like``."""
    if not isinstance(like, np.ndarray):
        return jnp.zeros_like(like).at[index].add(values)
    total = np.zeros_like(like)
    np.add.at(total, index, values)
    return total


@pytree
class LandmarkModel:
    """A morphable model at its L landmarks, identity and expression side by side in one ``basis`` of N columns.

    ``middle`` and ``drift`` are the mean of both over the landmarks. Of the mean face, too: its landmarks ``centred``,
    ``frontal``, the same in the camera frame, seen from the front, with root mean square radius 1 in 2D, and its
    ``normals`` there.
    """

    mean: Float[Array, "L 3"]
    basis: Float[Array, "L 3 N"]
    middle: Float[Array, "3"]
    drift: Float[Array, "3 N"]
    centred: Float[Array, "3 L"]
    frontal: Float[Array, "3 L"]
    normals: Float[Array, "L 3"]
    identity_size: int = field(metadata={"static": True})
    scheme: Scheme = field(metadata={"static": True})
