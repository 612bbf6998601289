from dataclasses import replace

import numpy as np
import pytest
import trimesh
from evaluation_faces import head, moved
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jaxface.evaluation.alignment import left_jacobian, points_to_truth, refine, rigid, scan_to_mesh, undone
from jaxface.evaluation.cropping import fronts_outward, now_region, seen, skin, submesh, within
from jaxface.evaluation.distances import ExactSurface, point_to_plane, rmse
from jaxface.evaluation.drawing import _thinned
from jaxface.evaluation.faces import SEVEN, Face
from jaxface.evaluation.protocols import PROTOCOLS, micc85, micc95, nonrigid, now, over_pairs, statistics
from jaxface.model.correspondences import JAW
from jaxface.model.registration import Similarity, similarity
from jaxface.model.surfaces import parts
from jaxface.rendering.rasterizer import rasterize


@pytest.fixture(scope="module")
def face():
    return head()


@pytest.fixture(scope="module")
def coarse():
    return head(subdivisions=3)


def broader(points):
    return points * [1.1, 1.0, 1.0]


def placement(turn=(0.0, 0.0, 0.0), shift=(0.0, 0.0, 0.0), scale=1.0):
    return Similarity(scale, Rotation.from_rotvec(turn).as_matrix(), np.array(shift, float))


def sphere(radius, subdivisions=4):
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices = radius * np.array(ball.vertices)
    spread = np.random.default_rng(0).choice(len(vertices), 68, replace=False)
    return Face(f"sphere of {radius}", vertices, np.array(ball.faces, np.int64), vertices[spread])


def plane(side=100.0, count=21):
    x, y = np.meshgrid(*2 * [np.linspace(-side / 2, side / 2, count)], indexing="ij")
    cell = np.arange(count * (count - 1)).reshape(count - 1, count)[:, :-1].ravel()
    triangles = np.concatenate(
        [np.stack([cell, cell + count, cell + 1], -1), np.stack([cell + count, cell + count + 1, cell + 1], -1)]
    )
    return np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], -1), triangles


def known_errors(measured, predicted, truth):
    """Those of a prediction that has the truth's vertices elsewhere, placed as well as can be."""
    points, true = predicted.vertices[measured.measured], truth.vertices[measured.measured]
    return np.linalg.norm(similarity(points, true)(points) - true, axis=1)


class TestDistances:
    def test_a_scaled_sphere_is_away_by_the_difference_of_radii(self):
        small, large = sphere(50.0), sphere(55.0)
        found = ExactSurface(small.vertices, small.triangles).closest(large.vertices)
        np.testing.assert_allclose(found.distance, 5.0, rtol=1e-12)

    def test_a_plane_is_away_by_the_offset_and_beyond_its_edge_by_pythagoras(self):
        surface, points = ExactSurface(*plane()), np.array([[7.0, -3.0, 3.0], [54.0, 0.0, 3.0]])
        found = surface.closest(points)
        np.testing.assert_allclose(found.distance, [3.0, 5.0], rtol=1e-12)
        np.testing.assert_allclose(found.position, [[7, -3, 0], [50, 0, 0]], atol=1e-12)
        np.testing.assert_allclose(point_to_plane(points, found), [3.0, 3.0], rtol=1e-12)

    def test_agrees_with_the_closest_of_all_triangles(self, face):
        points = np.random.default_rng(0).normal(scale=80, size=(20, 3))
        corners = face.vertices[face.triangles]
        each = [trimesh.triangles.closest_point(corners, np.repeat(p[None], len(corners), axis=0)) for p in points]
        nearest = [np.linalg.norm(found - p, axis=1).min() for found, p in zip(each, points, strict=True)]
        found = ExactSurface(face.vertices, face.triangles).closest(points)
        np.testing.assert_allclose(found.distance, nearest, rtol=1e-9)

    def test_triangles_without_area_count_for_nothing(self):
        vertices, triangles = plane()
        flat = np.concatenate([triangles, [[0, 0, 5], [0, 1, 2]]])  # the second's corners are in line
        points = np.random.default_rng(0).normal(scale=60, size=(50, 3))
        whole, mixed = (ExactSurface(vertices, faces).closest(points).distance for faces in (triangles, flat))
        np.testing.assert_allclose(mixed, whole)
        with pytest.raises(ValueError, match="no triangle with an area"):
            ExactSurface(vertices, np.array([[0, 1, 2]]))

    def test_points_that_are_not_finite_are_refused(self):
        vertices, triangles = plane()
        with pytest.raises(ValueError, match="a point to measure from is not a finite number"):
            ExactSurface(vertices, triangles).closest(np.array([[0.0, 0.0, np.nan]]))
        with pytest.raises(ValueError, match="a vertex of the mesh is not a finite number"):
            ExactSurface(np.where(vertices == vertices[0], np.inf, vertices), triangles)

    def test_root_mean_square_is_equation_13(self):
        assert rmse(np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))


class TestAlignment:
    turns = st.tuples(*3 * [st.floats(-0.2, 0.2)])
    shifts = st.tuples(*3 * [st.floats(-8, 8)])

    @settings(max_examples=8)
    @given(turn=turns, shift=shifts, growth=st.floats(0.9, 1.1))
    def test_a_similarity_is_undone_from_a_start_that_is_off(self, face, turn, shift, growth):
        """From nothing; through both kinds of pairs, which measure it in different directions."""
        known = placement(turn, shift, growth)
        truth = moved(face, known)
        here, start = ExactSurface(face.vertices, face.triangles), placement()
        there = ExactSurface(truth.vertices, truth.triangles)
        for pairs in (scan_to_mesh(truth.vertices, here), points_to_truth(face.vertices, there)):
            found = refine(start, pairs, scaled=True)
            np.testing.assert_allclose(found(face.vertices), truth.vertices, atol=0.05)

    @settings(max_examples=8)
    @given(turn=turns, shift=shifts)
    def test_a_rigid_motion_is_undone_and_the_scale_left(self, face, turn, shift):
        truth = moved(face, placement(turn, shift))
        surface = ExactSurface(truth.vertices, truth.triangles)
        found = refine(placement(), points_to_truth(face.vertices, surface), scaled=False)
        assert found.scale == 1.0
        np.testing.assert_allclose(found(face.vertices), truth.vertices, atol=0.05)

    @given(turn=turns, shift=shifts)
    def test_landmarks_alone_undo_a_rigid_motion(self, face, turn, shift):
        truth = moved(face, placement(turn, shift))
        np.testing.assert_allclose(rigid(face.seven, truth.seven)(face.vertices), truth.vertices, atol=1e-9)

    def test_there_and_back(self, face):
        known = placement((0.3, -1.0, 2.0), (4, 5, 6), 1.7)
        np.testing.assert_allclose(undone(known, known(face.vertices)), face.vertices, atol=1e-10)

    @pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.3, -0.5, 0.2), (2.0, 0.1, -0.4)])
    def test_the_derivative_of_a_turn(self, turn):
        step, turn = 1e-6, np.array(turn)
        inverse = Rotation.from_rotvec(turn).inv()
        change = [(Rotation.from_rotvec(turn + step * axis) * inverse).as_rotvec() / step for axis in np.eye(3)]
        np.testing.assert_allclose(left_jacobian(turn), np.stack(change, axis=1), atol=1e-5)


class TestCropping:
    def test_a_point_on_the_sphere_is_in_and_the_next_one_out(self):
        points = np.array([[85.0, 0, 0], [0, np.nextafter(85.0, 90), 0], [0, 0, -30.0]])
        np.testing.assert_array_equal(within(points, np.zeros(3), 85.0), [True, False, True])

    def test_an_empty_crop_says_how_far_away_the_mesh_is(self):
        with pytest.raises(ValueError, match="no vertex lies within 85 mm of its centre, the closest is 100 mm away"):
            within(np.array([[100.0, 0, 0]]), np.zeros(3), 85.0)

    def test_now_crops_around_the_nose(self):
        """Outer eyes 90 apart, nose 50 long: radius 1.4 x 140 / 2, centre 0.3 x 50 above the nose bottom."""
        seven = np.array([[-45.0, 0, 0], [-18, 0, 0], [18, 0, 0], [45, 0, 0], [0, -50, 0], [-25, -75, 0], [25, -75, 0]])
        centre, radius = now_region(seven)
        np.testing.assert_allclose(centre, [0, -35, 0])
        assert radius == pytest.approx(98.0)

    def test_the_skin_is_what_hangs_together_with_the_nose(self, face):
        """Beside it an eyeball, and a film that touches it from behind; cut in two where a texture's seam would double
        the vertices; some triangles are there twice."""
        count, left = len(face.vertices), face.vertices[face.triangles].mean(axis=1)[:, 0] > 0
        ball = sphere(12.0)
        film = np.concatenate([face.vertices[face.triangles[1000, :2]], face.vertices[face.triangles[1000, :1]] / 2])
        vertices = np.concatenate([face.vertices, face.vertices, ball.vertices + [30, 35, 60], film])
        cut = face.triangles + count * left[:, None]
        other = [2 * count + ball.triangles, [[len(vertices) - 3, len(vertices) - 2, len(vertices) - 1]]]
        triangles = np.concatenate([cut, cut[:50], *other])
        used = np.isin(np.arange(2 * count), triangles)
        found = skin(vertices, triangles, face.nose_tip)
        assert found[: 2 * count][used].all() and not found[2 * count : -3].any() and not found[-1]

    def test_a_crumb_at_the_nose_is_not_the_face(self, face):
        crumb = face.nose_tip + np.array([[0.0, 0, 1], [0.5, 0, 1], [0, 0.5, 1]])
        triangles = np.concatenate([face.triangles, len(face.vertices) + np.arange(3)[None]])
        found = skin(np.concatenate([face.vertices, crumb]), triangles, crumb[0])
        assert not found[-3:].any() and found.sum() == len(face.vertices)

    def test_what_is_seen_is_what_a_drawing_shows(self, model):
        """And little of the texture's islands that line mouth, nose and sockets."""
        vertices, triangles = np.asarray(model.mean, np.float64), np.asarray(model.triangles)
        seven = np.asarray(model.landmark_positions(model.mean, "ibug68"), np.float64)[list(SEVEN)]
        found, face = seen(vertices, triangles, seven), skin(vertices, triangles, seven[4])
        drawn = rasterize(vertices * [2, -2, -2] + [256, 256, 0], triangles, 512, 512)
        shown = np.unique(triangles[np.bincount(drawn.triangle[drawn.covered], minlength=len(triangles)) > 4])
        assert found[shown[face[shown]]].mean() > 0.99
        sheet = np.asarray(model.uv_triangles)
        island = parts(1 + int(sheet.max()), sheet)[sheet[:, 0]]
        outside = np.unique(triangles[island == np.bincount(island).argmax()])
        lining = np.setdiff1d(np.nonzero(face)[0], outside)
        assert len(lining) > 500 and found[lining].mean() < 0.2 and found[outside].mean() > 0.85

    def test_triangles_stay_that_have_all_their_corners(self):
        vertices, triangles = plane(count=5)
        kept = vertices[:, 0] <= 0
        part = submesh(triangles, kept)
        assert len(part) == len(triangles) // 2
        np.testing.assert_array_equal(np.unique(part), np.arange(kept.sum()))
        assert vertices[kept][part][..., 0].max() == 0


class TestProtocols:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_a_moved_copy_is_the_truth(self, face, protocol):
        truth = moved(face, placement((0.4, -0.7, 0.2), (30, -20, 500)))
        measured = PROTOCOLS[protocol].measure(face, truth)
        assert rmse(measured.distances) < 0.05
        assert measured.measured.sum() == len(measured.distances)
        np.testing.assert_allclose(measured.placed(face.vertices), truth.vertices, atol=0.3)

    @pytest.mark.parametrize("protocol", ["micc95", "now", "nonrigid"])
    def test_a_scaled_copy_is_the_truth_where_the_scale_is_free(self, face, protocol):
        copy = moved(face, placement((0.1, 0, 0.1), (0, 5, 0), 1e-3))  # metres
        measured = PROTOCOLS[protocol].measure(copy, face)
        assert rmse(measured.distances) < 0.05
        assert measured.placed.scale == pytest.approx(1000, rel=0.01)

    def test_micc85_sees_the_scale(self):
        """Two spheres, of which all but the back is measured: concentric is best, and 2 mm are between."""
        measured = micc85(sphere(40.0), sphere(42.0))
        assert 0.9 * len(sphere(40.0).vertices) < len(measured.distances) < len(sphere(40.0).vertices)
        assert statistics(measured.distances)["rmse"] == pytest.approx(
            2.0, abs=0.05
        )  # the larger one's triangles lie a little within it
        assert rmse(now(sphere(40.0), sphere(42.0)).distances) < 1e-3
        np.testing.assert_array_equal(nonrigid(sphere(40.0), sphere(42.0)).measured, measured.measured)

    def test_micc85_asks_for_millimetres(self, face):
        for scale, said in (
            (1e-3, r"1e\+03 times too small"),
            (0.45, "2.22 times too small"),
            (2.2, "2.2 times too large"),
        ):
            with pytest.raises(ValueError, match=rf"is {said} for head.*takes both in millimetres"):
                micc85(moved(face, placement(scale=scale)), face)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize("scale", [1e-3, 0.1, 2.5])
    def test_a_truth_in_another_unit_is_refused(self, face, protocol, scale):
        truth = moved(face, placement(scale=scale))
        with pytest.raises(ValueError, match="head.*: its outer eye corners are .* apart.*takes truths in millimetres"):
            PROTOCOLS[protocol].measure(face, truth)

    def test_what_is_cropped(self, face):
        """The prediction 85 mm around its own nose tip, the scan 95 mm around its own and in NoW's region."""
        truth = moved(head("finer", 5), placement((0, 0, 0), (5, 0, 0)))
        ball = lambda one, centre, radius: np.linalg.norm(one.vertices - centre, axis=1) <= radius
        np.testing.assert_array_equal(micc85(face, truth).measured, ball(face, face.nose_tip, 85))
        np.testing.assert_array_equal(micc95(face, truth).measured, ball(truth, truth.nose_tip, 95))
        np.testing.assert_array_equal(now(face, truth).measured, ball(truth, *now_region(truth.seven)))

    def test_micc95_measures_to_planes(self, face):
        """Of a reconstruction that ends before the scan does: beyond its rim a plane is nearer than the rim."""
        kept = np.linalg.norm(face.vertices - face.nose_tip, axis=1) < 75
        predicted = Face("cut", face.vertices[kept], submesh(face.triangles, kept), face.landmarks)
        measured, scan = micc95(predicted, face), face.vertices[within(face.vertices, face.nose_tip, 95.0)]
        nearest = ExactSurface(measured.placed(predicted.vertices), predicted.triangles).closest(scan)
        np.testing.assert_allclose(measured.distances, point_to_plane(scan, nearest), atol=1e-9)
        assert (nearest.distance - measured.distances).max() > 1

    def test_one_bump_is_found_where_it_is(self, face):
        """A scan with a bump of 4 mm at the chin: scan-to-mesh distances are about that there, and little elsewhere."""
        chin = np.array([0.0, -70.0, 66.0])
        away = np.linalg.norm(face.vertices - chin, axis=1)
        outward = face.vertices / np.linalg.norm(face.vertices, axis=1, keepdims=True)
        truth = replace(face, vertices=face.vertices + 4 * np.exp(-(away**2) / 200)[:, None] * outward)
        measured = now(face, truth)
        at = away[measured.measured]
        assert measured.distances[at.argmin()] == pytest.approx(4.0, abs=0.8)
        assert measured.distances[at > 50].mean() < 0.3

    def test_nonrigid_finds_the_points_that_correspond(self, face):
        predicted = moved(face, broader)
        measured = nonrigid(predicted, face)
        known = known_errors(measured, predicted, face).mean()
        assert known > 1.5
        assert measured.distances.mean() == pytest.approx(known, rel=0.2)

    def test_nonrigid_finds_them_up_to_the_rim_of_what_is_measured(self, coarse):
        """The truth goes on beyond it, and has no rim there that points are drawn onto."""
        predicted = moved(coarse, broader)
        measured = nonrigid(predicted, coarse)
        np.testing.assert_allclose(measured.distances, known_errors(measured, predicted, coarse), atol=1.5)

    def test_nonrigid_does_not_hold_the_jaw_line(self, coarse):
        predicted, landmarks = moved(coarse, broader), coarse.landmarks.copy()
        landmarks[JAW] += 10
        one, other = (nonrigid(predicted, truth) for truth in (coarse, replace(coarse, landmarks=landmarks)))
        np.testing.assert_array_equal(one.distances, other.distances)

    def test_nonrigid_depends_on_neither_frame_nor_winding(self, coarse):
        predicted = moved(coarse, broader)
        usual = nonrigid(predicted, coarse).distances
        about = lambda face: replace(face, triangles=face.triangles[:, ::-1])
        far = moved(coarse, placement((0.3, -0.2, 1.0), (500, -900, 30)))
        for one, other in (about(predicted), coarse), (predicted, about(coarse)), (predicted, far):
            np.testing.assert_allclose(nonrigid(one, other).distances, usual, atol=1e-6)

    def test_a_mesh_is_drawn_in_one_piece(self, face):
        """Thinning may break a triangle off, which nothing then holds in its place."""
        crumb = 2 * face.vertices[:3]
        triangles = np.concatenate([face.triangles, len(face.vertices) + np.arange(3)[None]])
        thinned, _ = _thinned(np.concatenate([face.vertices, crumb]), triangles)
        assert len(thinned) > 1000 and np.abs(thinned).max() <= np.abs(face.vertices).max() + 1

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_what_is_no_face_is_not_measured(self, face, protocol):
        kept = np.linalg.norm(face.vertices - face.nose_tip, axis=1) < 8
        crumb = replace(face, vertices=face.vertices[kept], triangles=submesh(face.triangles, kept))
        with pytest.raises(ValueError, match="times as large as by its landmarks|takes 100 or more"):
            PROTOCOLS[protocol].measure(crumb, face)
        if protocol != "micc85":  # of which the reconstruction alone is measured
            with pytest.raises(ValueError, match="vertices in the part that is measured; takes 100 or more"):
                PROTOCOLS[protocol].measure(face, crumb)

    def test_what_slides_along_the_surface_only_the_landmarks_see(self):
        """A gutter that is too long by a tenth lies in one of the right length."""
        vertices, triangles = plane(300.0, 51)
        vertices[:, 2] = 40 * np.cos(vertices[:, 1] / 50)
        landmarks = vertices[np.linalg.norm(vertices[:, :2], axis=1) < 75][:476:7]
        truth = Face("gutter", vertices, triangles, landmarks)
        predicted = moved(truth, broader)
        assert nonrigid(predicted, truth).distances.mean() > 0.5
        assert micc85(predicted, truth).distances.max() < 1e-6

    def test_now_pools_all_distances_and_the_others_the_pairs(self):
        each = [np.array([1.0]), np.array([3.0, 3.0, 3.0])]
        assert over_pairs(PROTOCOLS["now"], each)["mean"] == pytest.approx(2.5)
        assert over_pairs(PROTOCOLS["micc85"], each)["rmse"] == pytest.approx(2.0)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_missing_landmarks_are_asked_for(self, face, protocol):
        with pytest.raises(ValueError, match=r"scan: has no landmarks; takes a file beside it"):
            PROTOCOLS[protocol].measure(face, Face("scan", face.vertices, face.triangles))

    def test_a_nose_tip_is_needed_by_those_who_crop_around_it(self, face):
        seven = replace(face, landmarks=face.seven)
        with pytest.raises(ValueError, match="takes the 68"):
            micc85(seven, face)
        with pytest.raises(ValueError, match="takes the 68 of either"):
            micc95(seven, seven)
        np.testing.assert_array_equal(micc95(face, seven).measured, micc95(face, face).measured)


def test_fronts_are_outward_wherever_a_face_looks():
    face = head(subdivisions=3)
    front = submesh(face.triangles, face.vertices[:, 2] > 0)
    for turn in ((0, 0, 0), (0, np.pi, 0), (np.pi / 2, 0, 0)):
        one = moved(face, Similarity(1.0, Rotation.from_rotvec(turn).as_matrix(), np.zeros(3)))
        vertices = one.vertices[face.vertices[:, 2] > 0]
        for triangles in (front, front[:, ::-1]):
            np.testing.assert_array_equal(fronts_outward(vertices, triangles, one.seven), front)


def test_micc95_crops_a_scan_without_a_nose_tip_around_its_point_nearest_to_the_predictions():
    face = head(subdivisions=4)
    landmarks = face.landmarks.copy()
    landmarks[30] += [0, 0, 12]  # in the air before the nose
    scan, tip = replace(face, landmarks=face.seven), face.landmarks[30]
    measured = micc95(replace(face, landmarks=landmarks), scan).measured
    inside = np.linalg.norm(face.vertices - tip, axis=1) <= 95
    assert (measured != inside).mean() < 0.002
