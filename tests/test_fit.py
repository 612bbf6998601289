"""What a fit promises: the face it was made from, the same in any units, and a word for every face it cannot fit."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxface
from jaxface import FitOptions, Landmarks, Status
from jaxface.calibration import CALIBRATED, EMBEDDED
from jaxface.fitting import api
from jaxface.fitting.loop import _or_mean_face
from jaxface.fitting.options import settled

# Alternation is slow along what pose and shape share, such as size.
LOOSE = dict(identity_prior=1e-6, expression_prior=1e-6, iterations=600)
VARIANTS = ["2d", "2d+3d", "2d+3d+w", "2d+3d+p+w"]


def rms_mm(model, result, truth):
    """Distance of the fitted mesh from the true one at equal pose, root mean square over the vertices."""
    fitted = jaxface.vertices(model, result)
    true = model.vertices(*(jnp.asarray(truth[name], fitted.dtype) for name in ("identity", "expression")))
    return float(jnp.sqrt(jnp.mean(jnp.sum((fitted - true) ** 2, axis=-1))))


@pytest.mark.parametrize("solver", ["structured", "jaxopt"])
@pytest.mark.parametrize("euler_deg", [(0, 0, 0), (5, 30, -10), (-10, -60, 20), (0, 90, 0), (15, -90, 0)])
def test_exact_landmarks_give_back_their_face(x64, small, face, solver, euler_deg):
    landmarks, truth = face(seed=1, euler_deg=euler_deg, dtype=np.float64)
    result = jaxface.fit(small, landmarks, FitOptions(variant="2d+3d", solver=solver, **LOOSE))
    assert result.identity.dtype == np.float64
    np.testing.assert_allclose(result.identity, truth["identity"], atol=1e-2)
    np.testing.assert_allclose(result.expression, truth["expression"], atol=1e-2)
    np.testing.assert_allclose(result.pose.rotation, truth["rotation"], atol=3e-4)
    np.testing.assert_allclose(result.pose.scale, truth["scale"], rtol=5e-4)
    np.testing.assert_allclose(result.pose.translation, truth["shift"], atol=0.1)
    assert rms_mm(small, result, truth) < 0.05
    assert Status(int(result.status)) is Status.CONVERGED
    assert float(result.cost) < 1e-3


def test_single_precision_stays_single_where_double_is_on(x64, small, face):
    result = jaxface.fit(small, face()[0])
    assert {leaf.dtype for leaf in jax.tree.leaves(result)} == {np.dtype(np.float32), np.dtype(np.int32)}


@pytest.mark.parametrize("loss", ["squared", "robust"])
def test_all_is_in_the_widest_precision_that_anything_has(x64, small, face, loss):
    landmarks, mask = face(dtype=np.float64)[0], np.arange(68) > 5
    result = jaxface.fit(small, replace(landmarks, weight=mask), FitOptions(loss=loss))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(result)} == {"float64", "int32"}


def test_the_stock_solver_keeps_the_landmarks_precision_too(x64, small, face):
    landmarks, _ = face()
    stock = jaxface.fit(small, landmarks, FitOptions(solver="jaxopt"))
    assert {leaf.dtype for leaf in jax.tree.leaves(stock)} == {np.dtype(np.float32), np.dtype(np.int32)}
    np.testing.assert_allclose(stock.identity, jaxface.fit(small, landmarks).identity, atol=0.02)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_finds_the_pose(small, face, variant):
    landmarks, truth = face(seed=2, euler_deg=(5, 35, -10))
    result = jaxface.fit(small, landmarks, FitOptions(variant=variant))
    np.testing.assert_allclose(result.pose.euler_deg, (5, 35, -10), atol=6)
    assert rms_mm(small, result, truth) < 5


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_round_that_still_moves_the_landmarks_has_not_converged(small, face, rounds):
    """The second by tenths of a millimetre, which are hundredths of a face's radius or less."""
    landmarks, _ = face(seed=2, euler_deg=(5, 35, -10))
    assert Status(int(jaxface.fit(small, landmarks, FitOptions(iterations=rounds)).status)) is Status.MAX_ITERATIONS


def test_dense_landmarks(small, face):
    landmarks, truth = face(seed=3, scheme="mediapipe478")
    result = jaxface.fit(small, landmarks, FitOptions(variant="2d+3d", **{**LOOSE, "identity_prior": 1e-3}))
    np.testing.assert_allclose(result.pose.euler_deg, (5, 20, -10), atol=0.5)
    assert rms_mm(small, result, truth) < 1


def test_few_patterns_stand_for_many_landmarks(x64, small, face):
    """Single precision fits 478 landmarks through 128 patterns over them, and finds the cost that all of them have."""
    landmarks, _ = face(seed=4, scheme="mediapipe478")
    rng = np.random.default_rng(4)
    noisy = jax.tree.map(lambda leaf: leaf + rng.normal(size=leaf.shape), landmarks)
    exact = jaxface.fit(small, noisy)
    single = jaxface.fit(small, jax.tree.map(lambda leaf: leaf.astype(np.float32), noisy))
    np.testing.assert_allclose(single.identity, exact.identity, atol=1e-3)
    np.testing.assert_allclose(single.expression, exact.expression, atol=1e-3)
    np.testing.assert_allclose(single.cost, exact.cost, rtol=1e-3)


def test_2d_does_not_look_at_3d(small, face):
    landmarks, _ = face()
    other = replace(landmarks, xyz=landmarks.xyz * 0.5 + 7)
    one, two = (jaxface.fit(small, given, FitOptions(variant="2d")) for given in (landmarks, other))
    np.testing.assert_array_equal(one.identity, two.identity)
    np.testing.assert_array_equal(one.expression, two.expression)
    np.testing.assert_array_equal(one.pose.rotation, two.pose.rotation)


@pytest.mark.parametrize("zoom, shift", [(0.1, (0, 0)), (40.0, (5000, -3000)), (1e30, (0, 0))])
def test_a_fit_does_not_depend_on_the_size_or_place_of_the_image(small, face, zoom, shift):
    landmarks, _ = face()
    moved = Landmarks(landmarks.xy * zoom + np.float32(shift), landmarks.xyz * zoom + np.float32((*shift, 9.0)))
    one, two = jaxface.fit(small, landmarks), jaxface.fit(small, moved)
    np.testing.assert_allclose(one.identity, two.identity, atol=2e-3)
    np.testing.assert_allclose(one.cost, two.cost, rtol=1e-2)
    np.testing.assert_allclose(two.pose.scale, one.pose.scale * zoom, rtol=1e-3)
    np.testing.assert_allclose(two.pose.translation, one.pose.translation * zoom + np.array(shift), rtol=1e-3)


def test_3d_landmarks_may_lie_anywhere(small, face):
    """t' of Eq. 6: a shift of all 3D landmarks changes itself alone."""
    landmarks, _ = face()
    shift = np.float32((30.0, -20.0, 500.0))
    one = jaxface.fit(small, landmarks)
    two = jaxface.fit(small, replace(landmarks, xyz=landmarks.xyz + shift))
    np.testing.assert_allclose(one.identity, two.identity, atol=2e-3)
    np.testing.assert_allclose(two.depth_offset, one.depth_offset - shift, atol=0.05)


@pytest.mark.parametrize("variant", ["2d+3d+p+w", "calibrated"])
def test_weights_of_one_are_no_weights_and_a_weight_of_zero_is_no_point(small, face, variant):
    fit = partial(jaxface.fit, small, options=FitOptions(variant, calibration="mediapipe"))
    landmarks, _ = face()
    plain = fit(landmarks)
    ones = fit(replace(landmarks, weight=np.ones(68, np.float32)))
    np.testing.assert_allclose(plain.identity, ones.identity, atol=1e-3)
    weight = np.ones(68, np.float32)
    weight[[3, 40]] = 0
    wild = replace(landmarks, xy=landmarks.xy.copy(), xyz=landmarks.xyz.copy(), weight=weight)
    wild.xy[[3, 40]] += 100
    wild.xyz[[3, 40]] -= 100
    kept, pulled = fit(replace(landmarks, weight=weight)), fit(wild)
    np.testing.assert_allclose(kept.identity, pulled.identity, atol=5e-3)
    for far in (1e9, 1e30):
        wild.xy[3], wild.xyz[40] = far, -far
        lost = fit(wild)
        np.testing.assert_allclose(kept.identity, lost.identity, atol=5e-3)
        assert lost.status == kept.status


@pytest.mark.parametrize("weighted", [False, True])
def test_the_shifts_are_least_squares(small, face, weighted):
    """t of Eq. 5 and t' of Eq. 6 leave nothing of the (weighted) mean of what the landmarks are off."""
    rng, landmarks = np.random.default_rng(0), face()[0]
    weight = rng.uniform(0, 1, 68).astype(np.float32) ** 4 if weighted else None
    xy, xyz = (leaf + rng.normal(0, 9, leaf.shape).astype(np.float32) for leaf in (landmarks.xy, landmarks.xyz))
    result = jaxface.fit(small, Landmarks(xy, xyz, weight), FitOptions("2d+3d"))
    points = small.landmark_positions(jaxface.vertices(small, result, camera=True), "ibug68")
    off = np.concatenate([points[:, :2] - xy, points - xyz - result.depth_offset], axis=1)
    np.testing.assert_allclose(np.average(off, axis=0, weights=weight), 0, atol=2e-3)


BROKEN = {
    "not a number": (lambda lm: replace(lm, xy=lm.xy * np.float32(np.nan)), Status.NON_FINITE_INPUT),
    "one infinite": (lambda lm: replace(lm, xyz=np.where(np.arange(3) == 2, np.inf, lm.xyz)), Status.NON_FINITE_INPUT),
    "all zero": (lambda lm: replace(lm, xy=lm.xy * 0, xyz=lm.xyz * 0), Status.DEGENERATE_LANDMARKS),
    "coincident": (lambda lm: replace(lm, xy=lm.xy * 0 + 500, xyz=lm.xyz * 0 + 500), Status.DEGENERATE_LANDMARKS),
    "on a line": (lambda lm: replace(lm, xy=lm.xy[:, :1] * np.float32([1, 2])), Status.DEGENERATE_LANDMARKS),
    "huge": (lambda lm: replace(lm, xy=lm.xy * np.float32(1e30), xyz=lm.xyz * np.float32(1e30)), Status.MAX_ITERATIONS),
}


def test_a_face_that_cannot_be_fitted_has_a_status_and_changes_no_other_lane(small, face):
    good = [face(seed=seed, euler_deg=(0, 25 * seed, 5))[0] for seed in range(3)]
    broken = [make(good[0]) for make, _ in BROKEN.values()]
    stack = lambda faces: jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), *faces)
    alone = jaxface.fit_batch(small, stack(good * 3))
    mixed = jaxface.fit_batch(small, stack(good + broken))
    for ours, theirs in zip(jax.tree.leaves(mixed), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(ours[:3], theirs[:3])
        assert np.isfinite(ours).all()
    for (name, (_, expected)), status in zip(BROKEN.items(), mixed.status[3:], strict=True):
        assert Status(int(status)) is expected, name
    mean_face = jax.tree.map(lambda leaf: leaf[3], mixed)
    assert not mean_face.identity.any() and not Status(int(mean_face.status)).fitted
    np.testing.assert_array_equal(mean_face.pose.rotation, np.diag([1, -1, -1]))


def test_landmarks_in_a_line_are_told_from_those_in_a_narrow_strip(small, face):
    turn, drawn = np.array([[0.8, 0.6], [-0.6, 0.8]]), np.random.default_rng(0).normal(size=(68, 2))
    for part, flat in (0.005, True), (0.02, False):
        xy = (100 * drawn * [1, part] @ turn + 300).astype(np.float32)
        status = jaxface.fit(small, replace(face()[0], xy=xy)).status
        assert (status == Status.DEGENERATE_LANDMARKS) == flat


def test_a_solution_that_left_the_finite_numbers_is_the_mean_face(small, face):
    result = jaxface.fit(small, face()[0])
    for lost in (
        replace(result, cost=result.cost * np.nan),
        replace(result, depth_offset=result.depth_offset + np.inf),
    ):
        blank = _or_mean_face(lost)
        assert Status(int(blank.status)) is Status.DIVERGED and not blank.identity.any()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(blank))


def test_batch_is_the_single_fit_of_each_face(small, face):
    faces = [face(seed=seed, euler_deg=(0, 20 * seed, 5))[0] for seed in range(4)]
    batch = jaxface.fit_batch(small, jax.tree.map(lambda *leaves: np.stack(leaves), *faces))
    for index, landmarks in enumerate(faces):
        single = jaxface.fit(small, landmarks)
        np.testing.assert_allclose(batch.identity[index], single.identity, atol=2e-3)
        np.testing.assert_allclose(batch.pose.rotation[index], single.pose.rotation, atol=2e-4)


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int64, np.int16, ">f4", ">i2"])
def test_numbers_of_any_kind_are_fitted_in_single_precision(small, face, kind):
    landmarks = jax.tree.map(lambda leaf: np.round(leaf).astype(kind), face()[0])
    found, expected = (jaxface.fit(small, jax.tree.map(as_, landmarks)) for as_ in (np.asarray, np.float32))
    assert found.identity.dtype == jnp.float32
    np.testing.assert_array_equal(found.identity, expected.identity)


def test_a_buffer_that_is_filled_again_changes_no_earlier_fit(small, face):
    """A fit still runs when the call returns, and a CPU reads NumPy's memory where it lies, if that is aligned."""

    def aligned(array):
        memory = np.empty(array.nbytes + 64, np.uint8)
        start = -memory.ctypes.data % 64
        copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    faces = jax.tree.map(lambda leaf: aligned(np.repeat(leaf[None], 4096, axis=0)), face()[0])
    jax.block_until_ready(jaxface.fit_batch(small, faces))  # compiled
    found = jaxface.fit_batch(small, faces)
    faces.xy[...] = np.nan
    assert int(jnp.max(found.status)) <= Status.MAX_ITERATIONS


def test_statuses_have_sentences():
    assert all(status.sentence for status in Status)
    assert [status for status in Status if status.fitted] == [Status.CONVERGED, Status.MAX_ITERATIONS]


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(xy=np.zeros((67, 2), np.float32)), r"landmarks\.xy: got shape \(67, 2\), takes \(68, 2\)"),
        (dict(xyz=np.zeros((68, 2), np.float32)), r"landmarks\.xyz: got shape \(68, 2\), takes \(68, 3\)"),
        (dict(weight=np.zeros(5, np.float32)), r"landmarks\.weight: got shape \(5,\), takes \(68\)"),
        (dict(scheme="aflw21"), r"landmarks\.scheme='aflw21': the model 'small' has"),
        (dict(xy=np.zeros((4, 68, 2), np.float32)), r"jaxface\.fit_batch fits many"),
        (dict(xy=[[0.0, 1.0]] * 68), r"landmarks\.xy: got list, takes an array of real numbers"),
        (dict(xyz=np.zeros((68, 3), np.complex64)), r"landmarks\.xyz: got complex64, takes an array of real numbers"),
    ],
)
def test_wrong_arguments_are_named(small, change, message):
    landmarks = object.__new__(Landmarks)  # past the type checks that tests switch on and users do not have
    fields = dict(xy=np.zeros((68, 2), np.float32), xyz=np.zeros((68, 3), np.float32), weight=None, scheme="ibug68")
    for name, value in (fields | change).items():
        object.__setattr__(landmarks, name, value)
    with pytest.raises(ValueError, match=message):
        jaxface.fit(small, landmarks)


@pytest.mark.parametrize("call", [jaxface.vertices, jaxface.uncertainty])
def test_what_is_no_model_is_named(small, face, call):
    with pytest.raises(ValueError, match="model: got str, takes a jaxface.MorphableModel, as jaxface.load_model gives"):
        call.__wrapped__("face.npz", jaxface.fit(small, face()[0]))  # past the type checks


def options_with(option, value):
    """Past the type checks that tests switch on."""
    options = object.__new__(FitOptions)
    for name, usual in vars(FitOptions()).items():
        object.__setattr__(options, name, value if name == option else usual)
    options.__post_init__()
    return options


@pytest.mark.parametrize(
    "option, value",
    [
        ("variant", "3d"),
        ("solver", "adam"),
        ("iterations", 0),
        ("iterations", 4.5),
        ("iterations", None),
        ("identity_prior", -1.0),
        ("identity_prior", 1e300),
        ("identity_prior", None),
        ("calibration", 5),
        ("calibration", ""),
    ],
)
def test_wrong_options_are_named(option, value):
    with pytest.raises(ValueError, match=re.escape(f"{option}={value!r}: takes ")):
        options_with(option, value)


def test_an_outline_is_of_a_model_that_is_known(small, face):
    result = jaxface.fit(small, face()[0])
    with pytest.raises(ValueError, match="model: got one that is traced"):
        jax.jit(jaxface.fitting.outline)(small, result)


@pytest.mark.parametrize("priors", [(1e-12, 1e12), (1e12, 1e-12)])
def test_the_widest_priors_that_are_taken_leave_a_fit_in_finite_numbers(small, face, priors):
    result = jaxface.fit(small, face()[0], FitOptions("2d+3d", identity_prior=priors[0], expression_prior=priors[1]))
    assert Status(int(result.status)).fitted
    held, free = sorted((np.linalg.norm(result.identity), np.linalg.norm(result.expression)))
    assert held < 1e-6 < 0.1 < free


@pytest.mark.parametrize("detector", CALIBRATED)
@pytest.mark.parametrize("options", [FitOptions(), FitOptions("calibrated")])
def test_landmarks_whose_errors_are_known_are_fitted_with_their_calibration(small, face, detector, options):
    landmarks = face()[0]
    result = jaxface.fit(replace(small, name=EMBEDDED), replace(landmarks, detector=detector), options)
    named = jaxface.fit(small, landmarks, FitOptions(calibration=detector))
    jax.tree.map(np.testing.assert_array_equal, result, named)
    assert result.variant == named.variant == "calibrated"


def test_another_calibration_compiles_nothing_anew(small, face):
    landmarks = face()[0]
    one, other = (partial(jaxface.fit, small, landmarks, FitOptions(calibration=name)) for name in CALIBRATED)
    before = one()
    compiled = api._fit._cache_size()
    assert np.abs(other().identity - before.identity).max() > 1e-3
    assert api._fit._cache_size() == compiled


@pytest.mark.parametrize(
    "change",
    [
        {"detector": None},
        {"detector": "dlib+mediapipe"},
        {"name": "another model"},
        {"scheme": "mediapipe478"},
        {"options": FitOptions(contour="march")},
        {"options": FitOptions(loss="robust")},
    ],
)
def test_others_are_fitted_by_the_papers_method(small, change):
    asked = {"options": FitOptions(), "name": EMBEDDED, "scheme": "ibug68", "detector": "mediapipe"} | change
    found = settled(asked["options"], replace(small, name=asked["name"]), asked["scheme"], asked["detector"])
    assert found == replace(asked["options"], variant="2d+3d+p+w")


def test_what_is_not_known_of_a_detector_is_not_taken_from_another(small, face):
    landmarks = replace(face()[0], detector="dlib")
    with pytest.raises(ValueError, match="nothing is known of the errors of dlib with the model 'small.*mediapipe or"):
        jaxface.fit(small, landmarks, FitOptions("calibrated"))
    with pytest.raises(ValueError, match="nothing is known of the errors of an unknown detector"):
        jaxface.fit(replace(small, name=EMBEDDED), replace(landmarks, detector=None), FitOptions("calibrated"))


def test_the_embedded_model_is_the_one_that_calibrations_are_of():
    assert jaxface.load_model().name == EMBEDDED


def test_a_traced_prior_is_named():
    with pytest.raises(ValueError, match="identity_prior: got a traced value.*scale the model's basis"):
        jax.jit(lambda prior: options_with("identity_prior", prior).iterations)(5.0)


def test_a_prior_is_the_scale_of_a_basis(small, face):
    """What docs/jax.md says of learning one."""
    landmarks = face()[0]
    stiff = jaxface.fit(small, landmarks, FitOptions("2d+3d", identity_prior=20.0))
    scaled = replace(small, identity=small.identity * 0.5)
    same = jaxface.fit(scaled, landmarks, FitOptions("2d+3d", identity_prior=5.0))
    np.testing.assert_allclose(0.5 * same.identity, stiff.identity, atol=2e-3)


def test_a_mask_is_a_weight(small, face):
    landmarks, mask = face()[0], np.arange(68) > 5
    masked, weighted = (jaxface.fit(small, replace(landmarks, weight=w)) for w in (mask, 3 * mask.astype(np.float32)))
    np.testing.assert_allclose(masked.identity, weighted.identity, atol=1e-5)
    np.testing.assert_array_equal(masked.landmark_weight, mask)


def test_options_of_any_array_library_have_a_hash():
    assert options_with("identity_prior", jnp.float32(5)) == FitOptions() == options_with("iterations", np.array(4))
    assert hash(options_with("identity_prior", jnp.float32(5))) == hash(FitOptions())
