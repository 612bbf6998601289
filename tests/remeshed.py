"""The same surface with other vertices and triangles, so that what is carried onto it is known everywhere."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import trimesh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.registration import shape_of
from jaxface.model.surfaces import edges


def remeshed(model: MorphableModel, count: int, seed: int = 0) -> MorphableModel:
    """A model's skin with at most ``count`` vertices, none of which coincides with one of the model's.

    Random vertices, those nearest to the landmarks among them, share out the skin by walking distance; where three of
    their regions meet is a triangle. Each is then moved to a random point of a triangle beside it, and has what the
    model has there. A landmark lies on a triangle of its own vertex: where lips touch, the closest one may be the
    other lip's.
    """
    rng = np.random.default_rng(seed)
    shape = shape_of(model)
    inside, triangles = shape.of(shape.skin)
    vertices = shape.vertices[inside]
    own = shape.anchors[:, inside].argmax(axis=1)
    others = np.setdiff1d(np.arange(len(inside)), own)
    seeds = np.concatenate([own, rng.choice(others, count - len(own), replace=False)])
    pairs = edges(triangles)[0]
    length = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1)
    graph = coo_array((length, (pairs[:, 0], pairs[:, 1])), (len(inside), len(inside))).tocsr()
    region = dijkstra(graph, directed=False, indices=seeds, min_only=True, return_predecessors=True)[2]
    number = np.zeros(len(inside), int)
    number[seeds] = np.arange(count)
    met = number[region[triangles]]
    met = met[(met[:, 0] != met[:, 1]) & (met[:, 1] != met[:, 2]) & (met[:, 0] != met[:, 2])]
    turned = (met.argmin(axis=1)[:, None] + np.arange(3)) % 3
    met = np.unique(np.take_along_axis(met, turned, axis=1), axis=0)
    used, met = np.unique(met, return_inverse=True)
    met = met.reshape(-1, 3)
    order = rng.permutation(len(triangles))
    beside = np.zeros(len(inside), int)
    beside[triangles[order].ravel()] = np.repeat(order, 3)
    corners, weights = triangles[beside[seeds[used]]], rng.dirichlet(np.ones(3), len(used))
    at = lambda field: np.einsum("nk,nk...->n...", weights, np.asarray(field)[inside][corners], optimize=True)
    landmark, row = np.nonzero((seeds[used][met] == own[:, None, None]).any(axis=-1))
    place = trimesh.triangles.closest_point(at(shape.vertices)[met[row]], shape.places[landmark])
    far = np.linalg.norm(place - shape.places[landmark], axis=1)
    nearest = [np.nonzero(landmark == each)[0][far[landmark == each].argmin()] for each in range(len(own))]
    barycentric = trimesh.triangles.points_to_barycentric(at(shape.vertices)[met[row[nearest]]], place[nearest])
    landmarks = Embedding(jnp.asarray(row[nearest], jnp.int32), jnp.asarray(np.clip(barycentric, 0, 1), jnp.float32))
    return replace(
        model,
        mean=jnp.asarray(at(model.mean), jnp.float32),
        identity=jnp.asarray(at(model.identity), jnp.float32),
        expression=jnp.asarray(at(model.expression), jnp.float32),
        triangles=jnp.asarray(met, jnp.int32),
        landmarks={"ibug68": landmarks},
        uv=None,
        uv_vertices=None,
        uv_triangles=None,
        symmetry=None,
        name=f"{model.name}, re-meshed",
    )
