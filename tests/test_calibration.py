"""The errors of a detector's landmarks: measured, and taken off."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from calibrations import a_calibration

import jaxface
from jaxface import camera
from jaxface.calibration import (
    CALIBRATED,
    YAWS,
    corrected,
    independent,
    load_calibration,
    save_calibration,
)
from jaxface.evaluation import common_errors
from jaxface.evaluation.noise import mean_face, measured, simulated
from jaxface.evaluation.subjects import subjects
from jaxface.model.correspondences import IBUG68_MIRROR
from jaxface.types import POINTS

pytestmark = pytest.mark.usefixtures("run_once")

MANY = 160
"""People of every test that fits: of one number, so that the mean face is compiled once."""


@pytest.fixture(scope="module")
def many(small):
    return subjects(small, MANY)


def at(table, rotation, yaw):
    """The offsets (68, 2) and (68, 3) of a head to the image's right, of this |yaw| and tilt: by their definition."""
    place = min(abs(yaw) / 15, len(YAWS) - 1.001)
    below, part = int(place), place % 1
    there = lambda values: (1 - part) * values[below] + part * values[below + 1]
    leans = np.sin(np.arcsin(rotation[2, 1]).clip(-np.pi / 6, np.pi / 6))
    flat, deep = (there(getattr(table, f"offset_{kind}")) for kind in ("2d", "3d"))
    return flat + leans * there(table.tilted_2d), deep + leans * there(table.tilted_3d)


def turned(offset, rotation, yaw):
    """An offset (68, c) of an upright face that looks to the image's right, on this face: by its definition."""
    if yaw < 0:
        offset = offset[IBUG68_MIRROR] * [-1, 1, 1][: offset.shape[1]]
    up = rotation[:2, 1] / np.linalg.norm(rotation[:2, 1])
    right = np.array([-up[1], up[0]])
    return np.column_stack([offset[:, :1] * right - offset[:, 1:2] * up, offset[:, 2:]])


class TestCalibration:
    def test_measured_is_what_was_put_in(self, small):
        people, put_in = subjects(small, MANY, tilt_deg=15.0), a_calibration(offset=2.0, tilted=5.0)
        true, rng = 2.0 * people.seen(people.points()), np.random.default_rng(0)
        xyz = true + 2.0 * rng.normal(size=true.shape)
        for row, yaw in enumerate(people.yaw):
            xyz[row] += 2.0 * turned(at(put_in, people.rotation[row], yaw)[1], people.rotation[row], yaw)
        faces = jaxface.Landmarks(xyz[..., :2].astype(np.float32), xyz.astype(np.float32))
        found = measured(small, faces, true)
        expected = put_in.offset_3d - put_in.offset_3d.mean(axis=1, keepdims=True)
        assert np.sqrt(np.mean((found.offset_3d - expected)[:6] ** 2)) < 0.25 * np.sqrt(np.mean(expected**2))
        expected = put_in.tilted_3d - put_in.tilted_3d.mean(axis=1, keepdims=True)
        assert np.sqrt(np.mean((found.tilted_3d - expected)[:5] ** 2)) < 0.5 * np.sqrt(np.mean(expected[:5] ** 2))
        np.testing.assert_allclose(found.offset_2d, found.offset_3d[..., :2], atol=1e-6)
        assert 0.7 < np.sqrt(found.variance_3d[:5].mean()) < 1.4

    @pytest.mark.parametrize("angles", [(5.0, 33.0, 0.0), (-25.0, -52.0, 70.0), (0.0, 90.0, -20.0), (60.0, 10.0, 0.0)])
    def test_corrected_undoes_the_offset(self, small, angles):
        table = a_calibration(offset=3.0, own=0.5, tilted=4.0)
        rotation = np.asarray(camera.rotation_from_euler(jnp.array(angles)))
        true = 1.7 * np.asarray(small.landmark_positions(small.mean, "ibug68")) @ rotation.T
        flat, deep = at(table, rotation, angles[1])
        xyz = true + 1.7 * turned(deep, rotation, angles[1])
        xy = true[:, :2] + 1.7 * turned(flat, rotation, angles[1]) + [30, -20]
        given = np.random.default_rng(0).uniform(0.5, 2, 68).astype(np.float32)
        xy[3], given[3] = xy[3] + 500, 0
        arrays = (jnp.asarray(array) for array in (rotation, xy.T, xyz.T, given))
        found, weight, depth = corrected(table, "ibug68", jnp.float32(1.7), *arrays)
        np.testing.assert_allclose(np.delete(found.T, 3, axis=0), np.delete(true, 3, axis=0), atol=0.05)
        np.testing.assert_allclose(weight, 2 * given, rtol=1e-5)  # as sure as from the front, over each one's own part
        assert depth == pytest.approx(1.0)

    @pytest.mark.parametrize(("deep", "expected"), [(2.0, 0.5), (0.5, 1.0)])
    def test_the_surer_kind_counts_for_more_and_both_are_no_surer(self, deep, expected):
        """In the image of variances 4 and 1, so a fifth and four fifths; in depth no surer than in the image."""
        table, rng = a_calibration(), np.random.default_rng(0)
        flat, both = np.full_like(table.variance_2d, 4.0), np.full_like(table.variance_3d, 1.0)
        both[..., 1] = deep
        xy, xyz = rng.normal(size=(68, 2)).astype(np.float32), rng.normal(size=(68, 3)).astype(np.float32)
        found, _, depth = corrected(
            replace(table, variance_2d=flat, variance_3d=both),
            "ibug68", jnp.float32(1), jnp.asarray(camera.FRONTAL), jnp.asarray(xy.T), jnp.asarray(xyz.T), None,
        )  # fmt: skip
        together = xy - (xy - xyz[:, :2]).mean(axis=0)
        np.testing.assert_allclose(found[:2].T, 0.2 * together + 0.8 * xyz[:, :2], atol=1e-5)
        assert depth == pytest.approx(expected)

    def test_files_hold_it(self, tmp_path):
        table = a_calibration(offset=1.0)
        save_calibration(tmp_path / "mine.npz", ibug68=table)
        again = load_calibration(str(tmp_path / "mine.npz"), "ibug68")
        np.testing.assert_allclose(again.offset_3d, table.offset_3d, atol=2e-3)
        with np.load(tmp_path / "mine.npz") as held:  # as older ones were
            np.savez(tmp_path / "older.npz", **{name: held[name] for name in held if "variance" in name})
        with pytest.raises(ValueError, match="older"):
            load_calibration(str(tmp_path / "older.npz"), "ibug68")
        with pytest.raises(ValueError, match="mediapipe478"):
            load_calibration(str(tmp_path / "mine.npz"), "mediapipe478")
        with pytest.raises(ValueError, match="'nobody'"):
            load_calibration("nobody", "ibug68")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"own": np.ones(3)}, r"the field 'ibug68/own' has shape \(3,\); takes \(7,\)"),
            ({"gains": np.ones((7, 2, 68, 3))}, r"'ibug68/gains' has shape \(7, 2, 68, 3\); takes \(7, 0, 68, 3\)"),
            ({"offset_2d": np.full((7, 68, 2), np.inf)}, "'ibug68/offset_2d' has 952 values that are NaN or infinite"),
        ],
    )
    def test_damaged_files_are_named(self, tmp_path, change, said):
        path = str(tmp_path / "damaged.npz")
        save_calibration(path, ibug68=replace(a_calibration(), **change))
        with pytest.raises(ValueError, match=rf"calibration='.*damaged.npz'.*{said}"):
            load_calibration(path, "ibug68")

    def test_what_is_no_calibration_is_refused(self, tmp_path):
        (tmp_path / "some.py").write_text("pass")
        for name, said in ("some.py", "some.py': .*that can be read"), (".", "': there is none"):
            with pytest.raises(ValueError, match=rf"calibration='.*{said}"):
                load_calibration(str(tmp_path / name), "ibug68")

    def test_a_calibrated_fit_is_nearer(self, small, many, tmp_path):
        table = a_calibration(offset=3.0, deviation=1.0)

        def shifted(people):
            faces = simulated(people, table)
            offset = [turned(table.offset_3d[0], *view) for view in zip(people.rotation, people.yaw, strict=True)]
            offset = np.array(offset, np.float32)
            return jaxface.Landmarks(faces.xy + offset[..., :2], faces.xyz + offset)

        people = subjects(small, MANY, odd=True)
        found = measured(small, shifted(many), many.seen(many.points()))
        save_calibration(tmp_path / "c.npz", ibug68=found)
        error, turned_by = {}, {}
        for variant in ("2d+3d+p+w", "calibrated"):
            options = jaxface.FitOptions(variant=variant, calibration=str(tmp_path / "c.npz"))
            result = jaxface.fit_batch(small, shifted(people), options)
            fitted = np.asarray(small.landmark_positions(jaxface.vertices(small, result), "ibug68")) - people.points()
            error[variant] = np.sqrt(np.mean((fitted - fitted.mean(axis=1, keepdims=True)) ** 2))
            turned_by[variant] = np.abs(np.asarray(result.pose.euler_deg)[:, 1] - people.yaw).mean()
            if variant == "calibrated":
                faces = shifted(people)
                faces.xyz[3] = np.nan
                broken = jaxface.fit_batch(small, faces, options)
                others = np.arange(MANY) != 3
                np.testing.assert_array_equal(broken.identity[others], result.identity[others])
        save_calibration(tmp_path / "c.npz", ibug68=replace(found, offset_2d=2 * found.offset_2d))
        again = jaxface.fit_batch(small, shifted(people), options)
        assert np.abs(again.identity - result.identity).max() > 0.01  # the file's tables, not those that it had
        assert error["calibrated"] < error["2d+3d+p+w"]
        assert turned_by["calibrated"] < 0.5 * turned_by["2d+3d+p+w"]


AMOUNT = 12.0
"""Standard deviation of a common error, over all landmarks together, mm."""


@pytest.fixture(scope="module")
def shapes():
    """Two errors (2, 68, 3) that landmarks may have in common, in the head's own axes, no pose among them."""
    x, y = np.random.default_rng(3).uniform(-1, 1, (2, 68))
    waves = np.stack([np.cos(3 * x) * np.sin(4 * y), np.sin(5 * x + 3 * y)])[..., None] * [0.3, 0.4, 1.0]
    waves = waves - waves.mean(axis=1, keepdims=True)
    return waves / np.linalg.norm(waves, axis=(1, 2), keepdims=True)


def erring(people, amounts, shapes, deviation=0.3):
    """Their landmarks with so much (n, 2) of common errors and some own."""
    common = np.einsum("nk,klc->nlc", amounts, shapes)
    left = people.yaw < 0
    common[left] = common[left][:, IBUG68_MIRROR] * [-1, 1, 1]
    xyz = people.points() + common + np.random.default_rng(5).normal(size=common.shape) * deviation
    xyz = people.seen(xyz).astype(np.float32)
    return jaxface.Landmarks(xyz[..., :2], xyz)


def left_over(small, people, table, landmarks):
    """Root mean square error (n,) of landmarks, all that a calibration knows taken off, once they are placed."""
    there, pose = small.at_landmarks("ibug68"), mean_face(small, landmarks).pose
    rows = (np.moveaxis(points, -1, -2) for points in (landmarks.xy, landmarks.xyz))
    xyz = jax.vmap(lambda *face: corrected(table, "ibug68", *face, None)[0])(pose.scale, pose.rotation, *rows)
    points = jnp.moveaxis(xyz, -1, -2)
    pose = mean_face(small, jaxface.Landmarks(points[..., :2], points), "2d+3d").pose
    found = np.asarray(jax.vmap(partial(independent, table, there, weight=None))(pose.scale, pose.rotation, xyz))
    errors = []
    for own, true in zip(np.moveaxis(found, -1, -2), people.points(), strict=True):
        own, true = own - own.mean(axis=0), true - true.mean(axis=0)
        u, size, vt = np.linalg.svd(own.T @ true)
        errors.append(np.sqrt(np.mean((own @ u @ vt * size.sum() / np.sum(own**2) - true) ** 2)))
    return np.array(errors)


@pytest.fixture(scope="module")
def some():
    """A calibration with patterns that differ by yaw, and one face: its pose and landmarks."""
    rng = np.random.default_rng(7)
    patterns, gains = rng.normal(size=(4, 68, 3)), rng.normal(size=(len(YAWS), 4, 68, 3)) / 100
    rotation = np.asarray(camera.rotation_from_euler(jnp.array([4.0, 38.0, -6.0])), np.float64)
    return replace(a_calibration(), patterns=patterns, gains=gains), rotation, rng.normal(size=(68, 3)) * 40


def off_ahead(model, scheme, table):
    """How far apart, in mm, a face's corrected landmarks are whose yaw is next to 0, on the one side and the other."""
    there, rng = model.at_landmarks(scheme), np.random.default_rng(8)
    points = np.asarray(there.centred) + 3 * rng.normal(size=there.centred.shape)

    def corrected_at(yaw):
        rotation, one = camera.rotation_from_euler(jnp.array([12.0, yaw, 5.0])), jnp.ones(())
        xyz = jnp.asarray(np.asarray(rotation) @ points, jnp.float32)
        xyz, _, _ = corrected(table, scheme, one, rotation, xyz[:2], xyz, None)
        return independent(table, there, one, rotation, xyz, None)

    return float(jnp.abs(corrected_at(1e-4) - corrected_at(-1e-4)).max())


@pytest.mark.parametrize("scheme", POINTS)
@pytest.mark.parametrize("detector", CALIBRATED)
def test_the_two_sides_meet_straight_ahead(model, detector, scheme):
    """But for what half precision leaves."""
    table = load_calibration(detector, scheme)
    aside = table.offset_3d.copy()
    aside[:, 30, 0] += 5
    assert off_ahead(model, scheme, table) < 0.02
    assert off_ahead(model, scheme, replace(table, offset_3d=aside)) > 1


class TestCommonErrors:
    def test_they_are_found_and_taken_off(self, small, many, shapes):
        amounts = np.random.default_rng(4).normal(size=(MANY, 2)) * AMOUNT
        table = measured(small, erring(many, amounts, shapes), many.seen(many.points()))
        assert table.own.max() < 0.3 and off_ahead(small, "ibug68", table) < 2e-3
        others = subjects(small, MANY, odd=True)
        faces = erring(others, np.random.default_rng(6).normal(size=(MANY, 2)) * AMOUNT, shapes)
        before = left_over(small, others, replace(table, patterns=0 * table.patterns), faces)
        after = left_over(small, others, table, faces)
        assert after.mean() < 0.55 * before.mean()

    def test_independent_errors_have_none(self, small, many, shapes):
        table = measured(small, erring(many, np.zeros((MANY, 2)), shapes, 1.0), many.seen(many.points()))
        assert table.own.min() > 0.7
        others = subjects(small, MANY, odd=True)
        faces = erring(others, np.zeros((MANY, 2)), shapes, 1.0)
        before = left_over(small, others, replace(table, patterns=0 * table.patterns), faces)
        assert left_over(small, others, table, faces).mean() < 1.02 * before.mean()

    def test_a_face_drawn_to_the_mean_is_undrawn(self, small, many, monkeypatch):
        def drawn(people):
            mean = np.asarray(small.landmark_positions(small.mean, "ibug68"), np.float64)
            mean = mean - mean.mean(axis=0)
            turns = [np.cross(axis, mean) for axis in np.eye(3)]
            motion = np.stack([*turns, mean, *(np.broadcast_to(axis, mean.shape) for axis in np.eye(3))])
            motion = np.linalg.svd(motion.reshape(7, -1), full_matrices=False)[2]
            off = (people.points() - mean).reshape(len(people), -1)
            off = (off - off @ motion.T @ motion).reshape(-1, 68, 3)
            noise = np.random.default_rng(9).normal(size=off.shape) * 0.3
            xyz = people.seen(people.points() - 0.5 * off + noise).astype(np.float32)
            return jaxface.Landmarks(xyz[..., :2], xyz)

        others = subjects(small, MANY, odd=True)
        faces, ratio = drawn(others), {}
        for name, ridges in ("the detector answers", common_errors._RIDGES), ("it does not", (1e9,)):
            monkeypatch.setattr(common_errors, "_RIDGES", ridges)
            table = measured(small, drawn(many), many.seen(many.points()))
            before = left_over(small, others, replace(table, patterns=0 * table.patterns), faces)
            ratio[name] = left_over(small, others, table, faces).mean() / before.mean()
        assert ratio["the detector answers"] < 0.5 and ratio["it does not"] > 0.7, ratio

    @pytest.mark.parametrize("noise", [0.1, 1000.0])
    def test_the_answer_foretells_pairs_left_out(self, noise):
        rng = np.random.default_rng(2)
        faces, share = rng.normal(size=(40, 5)) * 9, rng.uniform(size=40)
        errors, share = faces @ rng.normal(size=(5, 6)) + noise * rng.normal(size=(40, 6)), share / share.sum()
        answer, rest = common_errors._answer(errors, faces, share, lambda rows: rows)
        ridge = 3.0 if noise < 1 else 1e9
        for left in range(20):
            kept = np.arange(40) % 20 != left
            root, out = np.sqrt(share[kept])[:, None], faces[~kept]
            rows = np.concatenate([root * faces[kept], np.sqrt(ridge) * np.eye(5)])
            learned = np.linalg.lstsq(rows, np.concatenate([root * errors[kept], np.zeros((5, 6))]), rcond=None)[0]
            np.testing.assert_allclose(rest[~kept], errors[~kept] - out @ learned, rtol=1e-6, atol=1e-9)
        assert (np.abs(answer).max() > 0.5) == (noise < 1)

    def test_it_is_its_formula(self, small, some):
        table, rotation, xyz = some
        mean = np.asarray(small.landmark_positions(small.mean, "ibug68"), np.float64)
        off = (xyz - xyz.mean(axis=0)) @ rotation / 1.7 - (mean - mean.mean(axis=0))
        at = (3 - 38 / 15) * table.gains[2] + (38 / 15 - 2) * table.gains[3]
        common = np.einsum("k,klc->lc", np.einsum("klc,lc->k", at, off), table.patterns)
        found = independent(
            table, small.at_landmarks("ibug68"), jnp.asarray(1.7), jnp.asarray(rotation), jnp.asarray(xyz.T), None
        )
        np.testing.assert_allclose(found.T, xyz - 1.7 * common @ rotation.T, rtol=1e-4, atol=2e-3)

    def test_a_mirrored_face_is_mirrored(self, small, some):
        table, rotation, xyz = some
        there = small.at_landmarks("ibug68")
        mean = there.mean + there.mean[IBUG68_MIRROR] * jnp.array([-1, 1, 1])
        there, across = replace(there, mean=mean / 2), np.diag([-1.0, 1, 1])
        found = independent(table, there, jnp.asarray(1.0), jnp.asarray(rotation), jnp.asarray(xyz.T), None)
        turned, mirrored = across @ rotation @ across, (xyz @ across)[IBUG68_MIRROR].T
        other = independent(table, there, jnp.asarray(1.0), jnp.asarray(turned), jnp.asarray(mirrored), None)
        np.testing.assert_allclose(other, across @ np.asarray(found)[:, IBUG68_MIRROR], atol=2e-3)

    def test_gradients_are_finite_differences(self, small, some):
        with jax.enable_x64(True):
            table, rotation, xyz = some
            there, way = small.at_landmarks("ibug68"), np.random.default_rng(8).normal(size=(3, 68))
            there = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), there)
            pose = jnp.asarray(1.0), jnp.asarray(rotation)
            of = lambda xyz: jnp.sum(jnp.sin(independent(table, there, *pose, xyz, None) / 50))
            run = jax.jit(jax.value_and_grad(of))
            (ahead, _), (behind, _), (_, slope) = (run(jnp.asarray(xyz.T + step * way)) for step in (1e-4, -1e-4, 0.0))
            assert jnp.vdot(slope, way) == pytest.approx(float(ahead - behind) / 2e-4, rel=1e-6)

    def test_a_landmark_that_is_not_believed_moves_no_other(self, small, some):
        table, rotation, xyz = some
        weight, wrong = np.ones(68), xyz.copy()
        weight[5], wrong[5] = 0.0, 1e4
        pose = jnp.float32(1), jnp.asarray(rotation)
        one, other = (
            independent(table, small.at_landmarks("ibug68"), *pose, jnp.asarray(points.T), jnp.asarray(weight))
            for points in (xyz, wrong)
        )
        np.testing.assert_allclose(np.delete(one, 5, axis=1), np.delete(other, 5, axis=1), atol=1e-4)


def test_a_landmark_that_weighs_more_than_the_others_shows_no_more_than_it_is_off(small, some):
    table, rotation, points = some
    given = jnp.float32(1), jnp.asarray(rotation, jnp.float32), jnp.asarray(points.T, jnp.float32)
    even, heavy = (
        independent(table, small.at_landmarks("ibug68"), *given, weight) for weight in (None, 3 * jnp.ones(68))
    )
    np.testing.assert_allclose(heavy, even, atol=1e-2)
