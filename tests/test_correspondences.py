"""Landmarks found on face models that have few of their own."""

from dataclasses import replace

import numpy as np
import pytest
from model_files import basel2017_head, write_h5

import jaxface
from jaxface.model import convert_model, load_model
from jaxface.model.canonical import canonical_face
from jaxface.model.correspondences import (
    FEWEST_NAMED,
    IBUG68_FROM_MEDIAPIPE478,
    IBUG68_MIRROR,
    INNER,
    JAW,
    MEDIAPIPE478_MIRROR,
    NAMED_POINTS,
)
from jaxface.model.readers import basel2017
from jaxface.model.readers.assembly import on_vertices
from jaxface.model.registration import register_landmarks, shape_of
from jaxface.model.surfaces import triangle_normals


def at(model, scheme):
    return np.asarray(model.landmark_positions(model.mean, scheme), float)


def named(model):
    """{name: the skin's vertex nearest to the named point}."""
    shape = shape_of(model)
    skin = shape.of(shape.skin)[0]
    distance = lambda points: np.linalg.norm(shape.vertices[skin] - shape.places[points].mean(axis=0), axis=1)
    return {name: skin[distance(points).argmin()] for name, points in NAMED_POINTS.items()}


def test_canonical_face_is_mediapipe_s():
    """The first and the last vertex as MediaPipe's canonical_face_model.obj prints them."""
    face = canonical_face()
    points = at(face, "mediapipe478")
    np.testing.assert_allclose(points[0], [0.0, -34.06404, 59.79507], atol=1e-4)
    np.testing.assert_allclose(points, np.asarray(face.mean)[:478], atol=1e-4)
    np.testing.assert_allclose(points[MEDIAPIPE478_MIRROR] * [-1, 1, 1], points, atol=0.1)
    np.testing.assert_allclose(at(face, "ibug68"), points[IBUG68_FROM_MEDIAPIPE478], atol=1e-4)
    normals = triangle_normals(np.asarray(face.mean), np.asarray(face.triangles))[:898]
    assert (normals[:, 2] > 0).mean() > 0.98
    radii = np.linalg.norm((points[469:473] - points[468])[:, :2], axis=1)
    np.testing.assert_allclose(radii, 5.85, atol=1e-3)
    assert points[469, 0] > points[471, 0] and points[470, 1] > points[472, 1]


def test_names_are_symmetric():
    for name, points in NAMED_POINTS.items():
        other = name.replace("left.", "right.") if "left." in name else name.replace("right.", "left.")
        assert sorted(IBUG68_MIRROR[points]) == sorted(NAMED_POINTS[other])


@pytest.fixture(scope="module")
def basel(small, tmp_path_factory):
    """``basel(names)``: the file of a Basel model with this head and landmarks."""

    def write(names):
        places = {name: np.asarray(small.mean)[vertex] for name, vertex in names.items()}
        path = tmp_path_factory.mktemp("basel") / "model2017-1_bfm_nomouth.h5"
        write_h5(path, basel2017_head(small, places | {"left.ear.helix.outer": np.array([87.5, 17.4, -15.0])}))
        return path

    return write


@pytest.fixture(scope="module")
def basel_model(basel, small):
    return load_model(basel(named(small)))


def test_a_basel_file_gets_its_landmarks_from_the_points_that_it_names(basel_model, small):
    assert basel_model.landmarks.keys() == {"ibug68", "mediapipe478"}
    np.testing.assert_allclose(basel_model.mean, small.mean, atol=1e-3)
    ibug, dense = (
        np.linalg.norm(at(basel_model, scheme) - at(small, scheme), axis=1) for scheme in ("ibug68", "mediapipe478")
    )
    assert ibug[INNER].mean() < 3 and ibug[JAW].mean() < 9
    assert np.median(dense) < 3 and dense[468:].max() < 5
    irises = at(basel_model, "mediapipe478")[468:473]
    radii = np.linalg.norm((irises[1:] - irises[0])[:, :2], axis=1)
    assert np.ptp(radii) < 0.2 * radii.mean()


def test_a_basel_file_can_be_fitted(basel_model, face):
    result = jaxface.fit(basel_model, face(euler_deg=(5.0, 20.0, -10.0))[0])
    assert jaxface.Status(int(result.status)).fitted
    np.testing.assert_allclose(result.pose.euler_deg, (5.0, 20.0, -10.0), atol=5)


def test_converted_it_keeps_them(basel, small, basel_model, tmp_path):
    model = load_model(convert_model(basel(named(small)), tmp_path / "basel.npz"))
    np.testing.assert_allclose(at(model, "mediapipe478"), at(basel_model, "mediapipe478"), atol=1e-2)


@pytest.mark.parametrize("names", [0, FEWEST_NAMED - 1])
def test_a_basel_file_that_names_few_points_has_no_landmarks(basel, small, names):
    model = load_model(basel(dict(list(named(small).items())[:names])))
    assert model.landmarks == {}


def test_landmarks_beside_the_mesh_are_left_out(basel, small):
    """A file that is cut to the upper face has no mouth for its names to lie on."""
    cut = replace(small, triangles=small.triangles[(small.mean[small.triangles, 1] > -20).all(axis=1)])
    places = {name: np.asarray(small.mean)[vertex] for name, vertex in named(small).items()}
    path = basel({})
    write_h5(path, basel2017_head(cut, places))
    kept = [name for name, place in places.items() if place[1] > -20]
    assert set(basel2017.read(path).landmarks) == set(kept if len(kept) >= FEWEST_NAMED else [])


def test_landmarks_may_lie_on_the_files_own_points_away_from_its_mean(basel, small):
    places = {name: np.asarray(small.mean)[vertex] for name, vertex in named(small).items()}
    arrays = basel2017_head(small, {name: place + 50 for name, place in places.items()})
    arrays["/shape/representer/points"] += np.float32(45)  # in that file the face is 0.9 times as large
    path = basel({})
    write_h5(path, arrays)
    model = basel2017.read(path)
    for name, place in places.items():
        np.testing.assert_allclose(at(model, name)[0], place, atol=1e-3)


@pytest.mark.parametrize(("name", "inner", "jaw"), [("ict_face.npz", 3.0, 10.5), ("sfm/sfm_shape_3448.bin", 3.0, 10.0)])
def test_published_points_are_found_from_the_named_ones(shared, name, inner, jaw):
    if not (shared / "data" / name).is_file():
        pytest.skip(f"needs {name}")
    model = load_model(shared / "data" / name)
    on = lambda vertex: on_vertices(shared, np.asarray(model.triangles), np.array([vertex]))
    few = {name: on(vertex) for name, vertex in named(model).items()}
    found = register_landmarks(replace(model, landmarks=few), canonical_face())
    distance = np.linalg.norm(at(found, "ibug68") - at(model, "ibug68"), axis=1)
    print(f"\n{model.name}: inner {distance[INNER].mean():.2f} mm, jaw {distance[JAW].mean():.2f} mm")
    assert distance[INNER].mean() < inner and distance[JAW].mean() < jaw


def test_models_with_too_little_in_common_say_so(small):
    with pytest.raises(ValueError, match="canonical face and small: have 0 named points in common; .* takes 8"):
        register_landmarks(replace(small, landmarks={}), canonical_face())
