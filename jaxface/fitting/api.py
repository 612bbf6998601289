"""``fit``, ``fit_batch`` and ``vertices``: the loop behind checks that speak to people."""

from dataclasses import replace
from functools import partial
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec, get_abstract_mesh
from jaxtyping import Array, Float

from jaxface.calibration import Calibration
from jaxface.camera import project
from jaxface.fitting.coordinates import Coordinates, coordinates
from jaxface.fitting.loop import fit_one
from jaxface.fitting.marching import contour_of, require_contour
from jaxface.fitting.options import FitOptions, settled, table_of
from jaxface.model.contours import CANDIDATES, contour_lines, outermost, outward
from jaxface.model.morphable import LandmarkModel, MorphableModel
from jaxface.types import POINTS, FitResult, Landmarks, Scheme

_AT_LANDMARKS: WeakKeyDictionary = WeakKeyDictionary()

CPU_FACES = range(64, 129)
"""A CPU fits a batch in equal parts of so many faces where it divides into such: they stay in its cache."""


def fit(model: MorphableModel, landmarks: Landmarks, options: FitOptions = FitOptions()) -> FitResult:
    """Fit the model to one face's landmarks (Eqs 1-12, and beyond them where ``options`` say so).

    Pure: ``jax.jit``, ``jax.vmap`` and ``jax.grad`` go through it. Everything is computed in the wider of the
    landmarks' and the model's precision.

    Args:
      model: a face model; its part at the landmarks, with the Gram matrices, is computed at the first fit and kept.
      landmarks: one face: ``xy`` (L, 2) and ``xyz`` (L, 3) in pixels, of a scheme that the model has.
      options: variant, solver, iterations and priors. By default 68 landmarks that MediaPipe found are fitted with the
        embedded model as ``"calibrated"``, others by the paper's method.

    Returns:
      A ``FitResult``. A face that cannot be fitted has a ``status`` that says why, and the mean face.

    Raises:
      ValueError: an argument has a shape, kind or scheme that is not taken; the message names it.
    """
    return _fit(*_taken(model, landmarks, options, batch=False))


def fit_batch(model: MorphableModel, landmarks: Landmarks, options: FitOptions = FitOptions()) -> FitResult:
    """Fit many faces at once: ``fit`` with a leading batch axis on every array of ``landmarks`` and of the result.

    One compilation for each batch size. A batch whose first axis is split over the devices of a mesh (``xy`` has a
    ``jax.NamedSharding``) is fitted there, in every process that has a part of it; any other is split over all local
    devices when it divides evenly among them (over several CPU devices with the default solver alone).
    A face that cannot be fitted changes no other one. Args, raises: as ``fit``.
    """
    there, axes, landmarks, options = _taken(model, landmarks, options, batch=True)
    split = _split(landmarks.xy, options)
    if split is not None:
        put = jax.sharding.reshard if isinstance(split.mesh, AbstractMesh) else jax.device_put
        landmarks = jax.tree.map(lambda leaf: put(leaf, split), landmarks)
    return _fit_batch(there, axes, landmarks, options, split)


def cost_history(
    model: MorphableModel, landmarks: Landmarks, options: FitOptions = FitOptions()
) -> Float[Array, "rounds"]:
    """Eq. 4 along a fit, in mm² at the scale that the mean face had: of the mean face in its first pose, then after
    each round of shape and pose.

    All at the weights λ2d and λ3d of the last round, which the result has, so that they are values of one energy and
    the last is the result's ``cost``. The rounds before solve at weights of their own, those of their yaw: a value may
    be lower than a later one. Of a face that cannot be fitted they mean nothing. Args, raises: as ``fit``.
    """
    return _costs(*_taken(model, landmarks, options, batch=False))


def vertices(model: MorphableModel, result: FitResult, camera: bool = False) -> Float[Array, "*b V 3"]:
    """The fitted mesh: in the model frame (mm), or as the camera sees it (pixels, z away from the viewer)."""
    require("model", model, MorphableModel)
    require("result", result, FitResult)
    mesh = model.vertices(result.identity, result.expression)
    pose = result.pose
    return project(mesh, pose.scale, pose.rotation, pose.translation) if camera else mesh


def outline(model: MorphableModel, result: FitResult) -> Float[Array, "*b 17 2"]:
    """Where the face of a fit ends in the image: what a 2D detector sees of the 17 contour landmarks, in pixels.

    The landmark itself on the side that is seen, the outermost point of its line over the cheek on the other.

    Raises:
      ValueError: the model is traced.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(model)):
        raise ValueError("model: got one that is traced, takes one that the compiled function closes over")
    kept = _AT_LANDMARKS.setdefault(model, {})
    here = "lines", get_abstract_mesh()
    if here not in kept:
        own = jax.tree.map(np.asarray, model)
        kept[here] = contour_lines(own), outward(own.landmarks["ibug68"].on(own.triangles, own.mean))
    embedding, along = kept[here]
    lined = replace(model, landmarks={"lines": embedding})
    points = lined.landmark_positions(vertices(model, result, camera=True), "lines")[..., :2]
    lines = jnp.moveaxis(points.reshape(*points.shape[:-2], -1, CANDIDATES, 2), -1, -3)
    ends = jnp.vectorize(partial(outermost, outward=along), signature="(c,l,k),(i,j)->(c,l)")
    return jnp.moveaxis(ends(lines, result.pose.rotation), -2, -1)


@partial(jax.jit, static_argnames="options")
def _fit(model: LandmarkModel, axes: Coordinates, landmarks: Landmarks, options: FitOptions) -> FitResult:
    return fit_one(model, axes, landmarks, options)[0]


@partial(jax.jit, static_argnames="options")
def _costs(model: LandmarkModel, axes: Coordinates, landmarks: Landmarks, options: FitOptions):
    return fit_one(model, axes, landmarks, options)[1]()


@partial(jax.jit, static_argnames=("options", "split"))
def _fit_batch(
    model: LandmarkModel, axes: Coordinates, landmarks: Landmarks, options: FitOptions, split: NamedSharding | None
) -> FitResult:
    on_cpu = jax.local_devices()[0].platform == "cpu"

    def many(model, axes, landmarks):
        one = lambda face: fit_one(model, axes, face, options)[0]
        count = landmarks.xy.shape[0]
        parts = [part for part in CPU_FACES if count % part == 0] if on_cpu and isinstance(count, int) else []
        return jax.lax.map(one, landmarks, batch_size=parts[-1]) if parts else jax.vmap(one)(landmarks)

    if split is None:
        return many(model, axes, landmarks)
    every, faces = PartitionSpec(), split.spec
    # Each device runs its own loops to their end, which the check for values that vary over devices does not follow.
    many = jax.shard_map(many, mesh=split.mesh, in_specs=(every, every, faces), out_specs=faces, check_vma=False)
    return many(model, axes, landmarks)


def _split(xy: Array | np.ndarray, options: FitOptions) -> NamedSharding | None:
    """How a batch is divided among devices: as it lies there; evenly among all local ones if nobody said where; None if
    it is not."""
    devices = jax.local_devices()
    placed = jax.typeof(xy).sharding if isinstance(xy, Tracer) else getattr(xy, "sharding", None)
    if isinstance(placed, NamedSharding) and placed.spec and placed.spec[0] is not None:
        split = NamedSharding(placed.mesh, PartitionSpec(placed.spec[0]))
    elif not get_abstract_mesh().empty or not isinstance(xy, Tracer) and getattr(xy, "committed", False):
        return None  # somebody said where
    elif len(devices) == 1 or not isinstance(count := xy.shape[0], int) or count % len(devices):
        return None  # a size that is a symbol, in an export, may be any
    else:
        split = NamedSharding(Mesh(np.array(devices), "faces"), PartitionSpec("faces"))
    # The other solvers call LAPACK, which in a loop stands still for good on several CPU devices: they share threads.
    shares = devices[0].platform == "cpu" and options.solver != "structured" and split.mesh.size > 1
    return None if shares else split


def require(name: str, value, kind: type) -> None:
    """Raise a ``ValueError`` unless an argument is of this kind."""
    if not isinstance(value, kind):
        given_by = {MorphableModel: "load_model", Landmarks: "detect", FitResult: "fit"}
        source = f", as jaxface.{given_by[kind]} gives" if kind in given_by else ""
        raise ValueError(f"{name}: got {type(value).__name__}, takes a jaxface.{kind.__name__}{source}")


def require_amount(name: str, value, taken: str, most: float = np.finfo(np.float64).max) -> None:
    """Raise a ``ValueError`` unless this is one number from 0 on, as far as is known of one that is traced."""
    is_number = lambda: np.asarray(value).dtype.kind in "biuf" and 0 <= value <= most
    if np.shape(value) or not (isinstance(value, Tracer) or is_number()):
        raise ValueError(f"{name}: got {value!r}, takes {taken}")


def at_landmarks(model: MorphableModel, landmarks: Landmarks, options: FitOptions) -> tuple[LandmarkModel, Coordinates]:
    """The model at landmarks and in the precision that ``floating`` gave them: kept with a concrete model, traced with
    a traced one."""
    dtype = jnp.dtype(landmarks.xy.dtype)
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(model))
    # The other solvers are there to be exact; and what patterns leave out a traced model's own slope does not.
    single = options.solver == "structured" and dtype == jnp.float32 and not traced
    march = options.contour == "march"
    unit = (options.identity_prior / options.expression_prior) ** 0.5
    table = table_of(options, model, landmarks.scheme)
    key = landmarks.scheme, dtype, unit, single, march, table
    if traced:
        if march:
            raise ValueError(
                "options.contour='march': got a model that is traced, takes one whose mean face is known: "
                "let the compiled function close over the model"
            )
        return _restricted(jax.tree.map(jnp.asarray, model), *key)  # NumPy's einsum takes none of the traced ones
    kept = _AT_LANDMARKS.setdefault(model, {})
    here = *key, get_abstract_mesh()  # whose arrays no other mesh takes
    if here not in kept:
        with jax.ensure_compile_time_eval():
            arrays = _restricted(jax.tree.map(np.asarray, model), *key)  # in NumPy, which has nothing to compile
            arrays = jax.device_put(arrays)
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arrays)):
            return arrays  # of a shard_map outside of jit, beyond which they mean nothing
        kept[here] = arrays
    return kept[here]


def _restricted(
    model: MorphableModel,
    scheme: Scheme,
    dtype,
    expression_unit: float,
    single: bool,
    march: bool,
    table: Calibration | None,
):
    in_precision = lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    there = jax.tree.map(in_precision, model).at_landmarks(scheme)
    axes = coordinates(there, expression_unit, single)
    contour = contour_of(model, there, axes.mixing) if march else None
    return there, replace(axes, contour=contour, calibration=jax.tree.map(in_precision, table))


def floating(landmarks: Landmarks, model: MorphableModel) -> Landmarks:
    """The landmarks in their fit's precision, the widest of theirs and the model's, and without the detector's name,
    for which nothing is compiled anew. NumPy's arrays stay such, which a compiled function takes sooner than JAX makes
    arrays of them; but copied, as it may read them after it has returned."""
    # A file's bytes may go the other way.
    native = (np.empty(0, leaf.dtype.newbyteorder("=")) for leaf in jax.tree.leaves(landmarks))
    with jax.numpy_dtype_promotion("standard"):
        kind = jnp.result_type(model.mean, model.identity, model.expression, *native, jnp.float32)

    def as_float(leaf):
        return leaf.astype(kind) if isinstance(leaf, jax.Array) else np.array(leaf, kind)

    return replace(jax.tree.map(as_float, landmarks), detector=None)


def _taken(model: MorphableModel, landmarks: Landmarks, options: FitOptions, batch: bool):
    """What a compiled fit takes: the model at the landmarks, these, and the options, checked and settled. A calibration
    is part of the former, and for its name nothing is compiled anew."""
    check(model, landmarks, options, batch)
    options = settled(options, model, landmarks.scheme, landmarks.detector)
    landmarks = floating(landmarks, model)
    return *at_landmarks(model, landmarks, options), landmarks, replace(options, calibration=None)


def check(model: MorphableModel, landmarks: Landmarks, options: FitOptions, batch: bool) -> None:
    """Raise for arguments that no fit takes."""
    require("model", model, MorphableModel)
    require("landmarks", landmarks, Landmarks)
    require("options", options, FitOptions)
    scheme = landmarks.scheme
    if scheme not in model.landmarks:
        known = ", ".join(model.landmarks) or "none"
        raise ValueError(f"landmarks.scheme={scheme!r}: the model {model.name!r} has {known}")
    if options.contour == "march":
        require_contour("options.contour", scheme)
    lead = ("faces",) if batch else ()
    shapes = {"xy": (*lead, POINTS[scheme], 2), "xyz": (*lead, POINTS[scheme], 3), "weight": (*lead, POINTS[scheme])}
    faces = np.shape(landmarks.xy)[:1]
    for name, taken in shapes.items():
        value = getattr(landmarks, name)
        if name == "weight" and value is None:
            continue
        kind = getattr(value, "dtype", None)
        kinds = (jnp.floating, jnp.integer) + ((jnp.bool_,) if name == "weight" else ())
        if kind is None or kind.itemsize > 8 or not any(jnp.issubdtype(kind, real) for real in kinds):
            given = type(value).__name__ if kind is None else kind
            raise ValueError(f"landmarks.{name}: got {given}, takes an array of real numbers, of NumPy or JAX")
        got = np.shape(value)
        if len(got) != len(taken) or got[len(lead) :] != taken[len(lead) :] or (batch and got[:1] != faces):
            hint = "; jaxface.fit_batch fits many" if not batch and len(got) == len(taken) + 1 else ""
            wanted = ", ".join(map(str, taken))
            raise ValueError(f"landmarks.{name}: got shape {tuple(got)}, takes ({wanted}) for {scheme!r}{hint}")
