"""Face models in other people's formats, read to the number.

The licensed files cannot be had here, so these tests write small ones in each format's layout. ICT's and Surrey's are
read for real where they stand beside the checkout.
"""

import pickle
import pickletools
import struct
import sys
import types
from dataclasses import fields

import jax.numpy as jnp
import numpy as np
import pytest
from model_files import (
    MEAN,
    TRIANGLES,
    V,
    basel2009_arrays,
    basel2017_arrays,
    basis,
    blendshape_bytes,
    flame_arrays,
    ict_arrays,
    ict_folder,
    strip,
    surrey_bytes,
    write_expressions,
    write_h5,
    write_mat,
    write_obj,
)

import jaxface
from jaxface import camera
from jaxface.model.correspondences import IBUG68_MIRROR
from jaxface.model.describe import describe
from jaxface.model.readers import ModelFileError, basel2009, flame, ict
from jaxface.model.store import convert_model, load_model, registered_models, save_model
from jaxface.rendering.components import draw_components


def same(got, wanted, rtol=1e-5):
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=rtol, atol=1e-5)


def landmark_vertices(model):
    embedding = model.landmarks["ibug68"]
    corner = np.asarray(embedding.barycentric).argmax(axis=1)
    assert np.asarray(embedding.barycentric).sum() == 68
    return np.asarray(model.triangles)[np.asarray(embedding.triangle), corner]


def test_own_format_round_trips(small, tmp_path):
    save_model(tmp_path / "face.npz", small)
    read = load_model(tmp_path / "face.npz")
    for field in fields(small):
        wanted, got = getattr(small, field.name), getattr(read, field.name)
        if field.name == "landmarks":
            assert got.keys() == wanted.keys()
            for scheme, embedding in wanted.items():
                assert (got[scheme].triangle == embedding.triangle).all()
                same(got[scheme].barycentric, embedding.barycentric)
        elif isinstance(wanted, str | tuple):
            assert got == wanted
        else:
            np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("version", [5, 7.3])
def test_basel_2009(tmp_path, version):
    arrays = basel2009_arrays()
    write_mat(tmp_path / "any name", arrays, version)
    components, deviations = write_expressions(tmp_path, V)
    model = load_model(tmp_path / "any name")
    same(model.mean, arrays["shapeMU"].reshape(V, 3) / 1000)
    same(model.identity, (arrays["shapePC"] * [2e3, 1e3] / 1000).reshape(V, 3, 2))
    same(model.expression, (components.T * deviations / 1000).reshape(V, 3, 2))
    assert (np.asarray(model.triangles) == TRIANGLES).all()
    assert model.landmarks == {} and "Basel" in model.licence


def test_basel_2009_without_expressions(tmp_path):
    write_mat(tmp_path / "01_MorphableModel.mat", basel2009_arrays(), 5)
    assert load_model(tmp_path / "01_MorphableModel.mat").expression.shape == (V, 3, 0)


def test_basel_2009_has_68_points_and_loses_its_lip_patch_to_the_expressions(tmp_path):
    count, patch = basel2009.VERTICES, basel2009.LIP_PATCH
    arrays = basel2009_arrays(count, 1, strip(count))
    write_mat(tmp_path / "model.mat", arrays, 5)
    mean = arrays["shapeMU"].reshape(count, 3) / 1000
    model = load_model(tmp_path / "model.mat")
    assert len(model.mean) == count and (landmark_vertices(model) == basel2009.IBUG68).all()
    components, deviations = write_expressions(tmp_path, 53215, 1)
    model = load_model(tmp_path / "model.mat")
    assert len(patch) == len(set(patch)) == 275
    same(model.mean, np.delete(mean, patch, axis=0))
    same(model.expression, (components.T * deviations / 1000).reshape(53215, 3, 1))
    same(model.landmark_positions(model.mean, "ibug68"), mean[basel2009.IBUG68])
    used = np.unique(np.asarray(model.triangles))
    assert used[-1] == 53214 and len(model.triangles) < count - 2


def test_basel_2017(tmp_path):
    arrays = basel2017_arrays()
    write_h5(tmp_path / "model2019_face12.h5", arrays)
    model = load_model(tmp_path / "model2019_face12.h5")
    same(model.mean, MEAN + arrays["/expression/model/mean"].reshape(V, 3))
    same(model.identity, (arrays["/shape/model/pcaBasis"] * [3, 2, 1]).reshape(V, 3, 3))
    same(model.expression, (arrays["/expression/model/pcaBasis"] * [0.5, 0.1]).reshape(V, 3, 2))
    assert (np.asarray(model.triangles) == TRIANGLES).all()
    assert model.name == "Basel Face Model (model2019_face12)" and model.landmarks == {}


def test_a_model_without_landmarks_loads_and_says_so_when_fitted(tmp_path, face):
    write_h5(tmp_path / "model.h5", basel2017_arrays())
    with pytest.raises(ValueError, match=r"scheme='ibug68': the model 'Basel Face Model \(model\)' has none"):
        jaxface.fit(load_model(tmp_path / "model.h5"), face()[0])


def test_basel_2017_of_identity_alone(tmp_path):
    arrays = {name: array for name, array in basel2017_arrays().items() if not name.startswith("/expression")}
    write_h5(tmp_path / "model.h5", arrays)
    model = load_model(tmp_path / "model.h5")
    assert model.expression.shape == (V, 3, 0)
    same(model.mean, MEAN)


@pytest.fixture
def chumpy(monkeypatch):
    """A stand-in for the chumpy package, to write its pickles; gone when they are read."""

    class Ch:
        def __init__(self, x):
            self.x, self._dirty_vars, self._itr = x, set(), None

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    module.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", package)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_flame_pickles_of_every_protocol(tmp_path, chumpy, monkeypatch, protocol):
    arrays = flame_arrays()
    written = arrays | {"shapedirs": chumpy(np.asfortranarray(arrays["shapedirs"])), "posedirs": chumpy(chumpy(MEAN))}
    (tmp_path / "flame.any").write_bytes(pickle.dumps(written, protocol))
    monkeypatch.delitem(sys.modules, "chumpy")
    monkeypatch.delitem(sys.modules, "chumpy.ch")
    model = load_model(tmp_path / "flame.any")
    same(model.mean, 1000 * arrays["v_template"])
    same(model.identity, 1000 * arrays["shapedirs"][..., :300])
    same(model.expression, 1000 * arrays["shapedirs"][..., 300:])
    assert (np.asarray(model.triangles) == TRIANGLES).all() and model.landmarks == {}


def test_flame_pickles_of_python_2(tmp_path):
    """Python 2 has other module names and writes an array's bytes as text: opcode by opcode, protocol 2."""
    number = lambda value: b"K" + bytes([value])
    minus_one = b"J\xff\xff\xff\xff"
    text = lambda value: b"T" + struct.pack("<i", len(value)) + value

    def array(value, code, order):
        shape = b"(" + b"".join(map(number, value.shape)) + b"t"
        dtype = b"cnumpy\ndtype\nU\x02" + code + b"K\0K\1\x87R(K\3U\1" + order + b"NNN" + 2 * minus_one + b"K\0tb"
        start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
        return start + b"(K\1" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"

    mean, triangles = MEAN.astype(">f8"), TRIANGLES.astype("<u4")
    shapedirs = b"ccopy_reg\n_reconstructor\ncchumpy.ch\nCh\nc__builtin__\nobject\nN\x87R}(U\1x"
    flat = basis(V, 3, 400)
    wide = array(flat[..., :1], b"f4", b"<").replace(b"K\1t" + b"cnumpy", b"M\x90\1t" + b"cnumpy")
    wide = wide.replace(text(flat[..., :1].tobytes()), text(flat.tobytes()))
    entries = [
        (b"v_template", array(mean, b"f8", b">")),
        (b"f", array(triangles, b"u4", b"<")),
        (b"shapedirs", shapedirs + wide + b"U\x0b_dirty_varsc__builtin__\nset\n]\x85Rub"),
    ]
    content = b"\x80\2}(" + b"".join(b"U" + bytes([len(name)]) + name + value for name, value in entries) + b"u."
    assert sum(1 for _ in pickletools.genops(content)) > 50
    (tmp_path / "generic_model.pkl").write_bytes(content)
    model = load_model(tmp_path / "generic_model.pkl")
    same(model.mean, 1000 * MEAN)
    same(model.identity, 1000 * flat[..., :300])
    assert (np.asarray(model.triangles) == TRIANGLES).all()


def test_flame_archives_and_landmarks(tmp_path):
    arrays = flame_arrays(flame.VERTICES, strip(flame.VERTICES)) | {"J_regressor": np.eye(5), "shapedirs": None}
    arrays["shapedirs"] = np.zeros((flame.VERTICES, 3, 400), np.float16)
    np.savez(tmp_path / "flame.npz", **arrays)
    model = load_model(tmp_path / "flame.npz")
    same(model.mean, 1000 * arrays["v_template"])
    assert (landmark_vertices(model) == flame.IBUG68).all() and len(set(flame.IBUG68)) == 68


def test_ict_folder(tmp_path):
    shapes = ict_folder(tmp_path / "FaceXModel")
    for path in (tmp_path, tmp_path / "FaceXModel"):
        model = load_model(path)
        difference = lambda name: 10 * (shapes[name] - MEAN)
        np.testing.assert_allclose(model.mean, 10 * MEAN, atol=1e-4)
        np.testing.assert_allclose(model.identity[..., 1], difference("identity001"), atol=1e-4)
        np.testing.assert_allclose(model.expression[..., 1], difference("jawOpen"), atol=1e-4)
        assert model.identity.shape[2] == 2 and model.expression_names == ("eyeBlink_L", "jawOpen")
        assert model.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [3, 4, 5]]
        assert (model.uv_vertices[model.uv_triangles] == model.triangles).all()
        same(model.uv[model.uv_triangles[2]], [[0.6, 0.4], [0.8, 0.2], [0.0, 1.0]])


def test_faces_of_an_ict_folder_may_name_normals(tmp_path):
    ict_folder(tmp_path / "FaceXModel")
    write_obj(tmp_path / "FaceXModel" / ict.NEUTRAL, MEAN, "f 1/1/1 2/2/1 3/3/1 4/4/1\nf 4/4/1 5/5/1 6/1/1\n")
    assert load_model(tmp_path).triangles.tolist() == [[0, 1, 2], [0, 2, 3], [3, 4, 5]]


def test_ict_archive(tmp_path):
    arrays = ict_arrays()
    np.savez(tmp_path / "ict.npz", **arrays)
    model = load_model(tmp_path / "ict.npz")
    same(model.mean, 10 * MEAN)
    same(model.identity[..., 1], 10 * arrays["identity"][1])
    same(model.expression[..., 0], 10 * arrays["expression"][0])
    assert (landmark_vertices(model) == np.arange(68) % V).all()


@pytest.mark.parametrize("version", [1, 4])
def test_surrey(tmp_path, version):
    components, shapes = basis(3 * V, 2), {"anger": basis(V, 3), "joy": basis(V, 3)}
    (tmp_path / "shape").write_bytes(surrey_bytes(components, version))
    assert load_model(tmp_path / "shape").expression.shape == (V, 3, 0)
    (tmp_path / "expression_blendshapes_6.bin").write_bytes(blendshape_bytes(shapes))
    model = load_model(tmp_path / "shape")
    same(model.mean, MEAN + [0, 0, 100])
    same(model.identity, (components * [3, 2]).reshape(V, 3, 2))
    same(model.expression, np.stack([*shapes.values()], axis=-1))
    assert model.expression_names == ("anger", "joy")
    assert (np.asarray(model.triangles) == TRIANGLES).all()


@pytest.fixture(scope="module", params=["ict_face.npz", "sfm/sfm_shape_3448.bin"])
def real(request, shared):
    path = shared / "data" / request.param
    if not path.is_file():
        pytest.skip(f"needs {path.name}")
    return load_model(path)


def placed(model):
    return np.asarray(model.landmark_positions(model.mean, "ibug68"), float)


def test_real_models_have_human_measures_and_the_axes_of_the_model_frame(real):
    ibug = placed(real)
    distance = lambda first, second: np.linalg.norm(ibug[first - 1] - ibug[second - 1])
    assert 130 < distance(1, 17) < 160 and 80 < distance(37, 46) < 100
    assert 100 < distance(9, 28) < 130 and 40 < distance(49, 55) < 60
    assert ibug[45, 0] > 30 > -30 > ibug[36, 0] and ibug[16, 0] > 60 > -60 > ibug[0, 0]
    assert ibug[27, 1] > ibug[30, 1] > ibug[51, 1] > ibug[57, 1] > ibug[8, 1]
    assert ibug[30, 2] > ibug[27, 2] > ibug[0, 2]
    mean = np.asarray(real.mean)
    assert (mean.min(axis=0) < 0).all() and (mean.max(axis=0) > 0).all()


def test_real_models_have_symmetric_landmarks(real):
    ibug = placed(real)
    error = np.linalg.norm(ibug[IBUG68_MIRROR] * [-1, 1, 1] - ibug, axis=1)
    assert error.max() < 5 and np.median(error) < 1


def test_real_models_have_normals_that_point_outward(real):
    normals = np.asarray(real.at_landmarks("ibug68").normals)
    assert normals[30, 2] > 0.5 and normals[16, 0] > 0.5 and normals[0, 0] < -0.5


def test_real_models_vary_as_people_do(real):
    coefficients = np.random.default_rng(0).normal(size=(200, real.identity.shape[2]))
    moved = np.einsum("vcn,kn->kvc", np.asarray(real.identity)[landmark_vertices(real)], coefficients)
    assert 2.5 < np.sqrt((moved**2).sum(axis=-1).mean()) < 7


def test_real_models_are_fitted(real):
    rng = np.random.default_rng(5)
    identity = rng.normal(size=real.identity.shape[2]) * (np.arange(real.identity.shape[2]) < 10)
    expression = np.zeros(real.expression.shape[2])
    mesh = real.vertices(jnp.asarray(identity, jnp.float32), jnp.asarray(expression, jnp.float32))
    euler = np.array([5.0, 20.0, -10.0])
    rotation = np.asarray(camera.rotation_from_euler(jnp.asarray(euler)), float)
    xyz = 3 * np.asarray(real.landmark_positions(mesh, "ibug68"), float) @ rotation.T + [320, 240, 0]
    result = jaxface.fit(real, jaxface.Landmarks(xyz[:, :2].astype(np.float32), xyz.astype(np.float32)))
    assert jaxface.Status(int(result.status)).fitted
    assert np.abs(np.asarray(result.pose.euler_deg) - euler).max() < 2
    assert float(result.pose.scale) == pytest.approx(3, rel=0.1)  # a large face at a small scale looks much the same
    seen = np.asarray(real.landmark_positions(jaxface.vertices(real, result, camera=True), "ibug68"))
    assert np.linalg.norm(seen[:, :2] - xyz[:, :2], axis=1).mean() < 3


def test_the_ict_archive_has_the_published_landmarks(shared):
    with np.load(shared / "data" / "ict_face.npz") as stored:
        assert (stored["landmarks68"] == ict.IBUG68).all() and len(stored["neutral"]) == ict.VERTICES


def test_real_models_convert(real, shared, tmp_path):
    save_model(tmp_path / "converted.npz", real)
    read = load_model(tmp_path / "converted.npz")
    np.testing.assert_allclose(read.identity, real.identity, rtol=1e-3, atol=1e-4)
    assert (read.name, read.licence, read.expression_names) == (real.name, real.licence, real.expression_names)
    same(placed(read), placed(real))


def test_registered_names(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxface.model.store.models_folder", lambda: tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match="face model ict: no such file, and no registered model; .*: none"):
        load_model("ict")
    (tmp_path / "shape.bin").write_bytes(surrey_bytes(basis(3 * V, 2)))
    assert convert_model("shape.bin", "surrey") == tmp_path / "models" / "surrey.npz"
    assert convert_model("shape.bin", tmp_path / "a" / "b.v2") == tmp_path / "a" / "b.v2.npz"
    assert load_model("surrey").name == load_model(tmp_path / "a" / "b.v2.npz").name == "Surrey Face Model"
    assert registered_models() == ["surrey"]
    for path in "surrey", tmp_path / "a" / "b.v2.npz":
        with pytest.raises(ValueError, match="is a model that is read; takes another file"):
            convert_model(path, path)
    with pytest.raises(ModelFileError, match="registered are: surrey"):
        load_model("ict")


def test_describe(small):
    said = describe(small)
    assert said["name"] == "small" and said["vertices"] == 4790 and len(said["identity_spread_mm"]) == 8
    assert said["landmarks"] == {"ibug68": 68, "mediapipe478": 478} and said["atlas"]
    first = np.asarray(small.identity)[..., 0]
    assert said["identity_spread_mm"][0] == pytest.approx(np.sqrt((first**2).sum() / len(first)), rel=1e-5)
    assert len(said["expression_spread_mm"]) == 6


def test_draw_components(small):
    picture = draw_components(small)
    assert picture.shape == (640, 1300, 3) and picture.dtype == np.uint8
    cells = picture.reshape(2, 320, 5, 260, 3).swapaxes(1, 2).reshape(10, -1)
    drawn = (cells < 255).mean(axis=1)
    assert (drawn > 0.2).all() and (drawn < 0.8).all()
    assert len({cell.tobytes() for cell in cells}) == 10
