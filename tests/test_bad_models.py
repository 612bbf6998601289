"""Damaged and hostile face models, but pickles: a sentence that names the file and the field."""

import io
import os
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from model_files import (
    MEAN,
    TRIANGLES,
    Evil,
    V,
    basel2009_arrays,
    basel2017_arrays,
    basis,
    blendshape_bytes,
    ict_arrays,
    ict_folder,
    surrey_bytes,
    write_expressions,
    write_h5,
    write_mat,
    write_obj,
)

from jaxface.model.readers import ModelFileError, checks
from jaxface.model.store import load_model, model_file, save_model


def says(error, *parts):
    return all(part in str(error.value) for part in parts)


def own_arrays(path):
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mean", None, "the field 'mean' is missing; takes numbers of shape (V, 3)"),
        ("licence", None, "the field 'licence' is missing"),
        ("mean", lambda a: a[:, :2], "the field 'mean' has shape (4790, 2); takes (V, 3)"),
        ("identity", lambda a: a[:-1], "the field 'identity' has shape (4789, 3, 8); takes (4790, 3, N)"),
        ("mean", lambda a: a + np.inf, "the field 'mean' has 14,370 values that are NaN or infinite"),
        ("expression", lambda a: np.where(a > 1, np.nan, a), "that are NaN or infinite"),
        ("mean", lambda a: a.astype(complex), "the field 'mean' has values of type complex128"),
        ("triangles", lambda a: a + 1, "the field 'triangles' has indices from 1 to 4790; takes whole numbers from 0"),
        ("triangles", lambda a: a - 1, "the field 'triangles' has indices from -1"),
        ("triangles", lambda a: a + 0.5, "the field 'triangles' has values that are not whole numbers"),
        ("triangles", lambda a: a[:0], "the field 'triangles' is empty"),
        ("symmetry", lambda a: a + 5, "the field 'symmetry' has indices"),
        ("uv_vertices", lambda a: a[::-1], "the field 'uv_vertices' disagrees with the triangles"),
        ("landmarks/ibug68/triangle", lambda a: a + 99999, "the field 'landmarks/ibug68/triangle' has indices"),
        ("landmarks/ibug68/barycentric", lambda a: a[:67], "'landmarks/ibug68/barycentric' has shape (67, 3)"),
        ("landmarks/ibug68/barycentric", lambda a: 5 * a, "barycentric' has rows of another sum than 1"),
        ("expression_names", lambda a: a[:2], "the field 'expression_names' has 2 names; takes 6 of them, or none"),
    ],
)
def test_own_format_names_the_bad_field(small, tmp_path, name, change, message):
    save_model(tmp_path / "face.npz", small)
    arrays = own_arrays(tmp_path / "face.npz")
    changed = arrays.pop(name)
    if change:
        arrays[name] = change(changed)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError) as error:
        load_model(tmp_path / "bad.npz")
    assert says(error, f"face model {tmp_path / 'bad.npz'}: ", message)


def test_no_file_is_written_that_is_not_read_back(small, tmp_path):
    for changed, said in (
        ({"mean": np.asarray(small.mean) * np.nan}, "model.mean: has vertices that are not finite"),
        ({"identity": np.asarray(small.identity) * np.nan}, "model.identity: moves a vertex by nan"),
        ({"expression_names": ("one",)}, "model.expression_names: has 1 names; takes 6 or none"),
    ):
        with pytest.raises(ValueError, match=said):
            save_model(tmp_path / "face.npz", replace(small, **changed))
    assert not any(tmp_path.iterdir())


def test_no_file_is_written_of_components_that_it_cannot_hold(small, tmp_path):
    wide = replace(small, identity=1e5 * np.asarray(small.identity))
    with pytest.raises(ValueError, match=r"model.identity: moves a vertex by .*; takes millimetres, at most 65504"):
        save_model(tmp_path / "face.npz", wide)
    assert not (tmp_path / "face.npz").exists()


def test_a_model_is_not_kept_under_an_empty_name():
    with pytest.raises(ValueError, match="'' is no name; takes a file to write"):
        model_file("")


def test_truncated_archives_are_refused(small, tmp_path):
    save_model(tmp_path / "face.npz", small)
    whole = (tmp_path / "face.npz").read_bytes()
    for part in (0.1, 0.5, 0.99):
        (tmp_path / "cut.npz").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ModelFileError, match="cut.npz: not a jaxface .npz or other archive"):
            load_model(tmp_path / "cut.npz")
    flipped = bytearray(whole)
    flipped[200:400] = bytes(200)
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(ModelFileError, match="flipped.npz"):
        load_model(tmp_path / "flipped.npz")


def test_zip_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", mean=np.zeros((1 << 17, 3), np.float32))
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    with pytest.raises(ModelFileError, match="'mean' declares 1,572,992 bytes; takes at most 1,048,576"):
        load_model(tmp_path / "bomb.npz")


def test_an_array_larger_than_its_member_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        archive.writestr("mean.npy", header.getvalue() + bytes(64))
    with pytest.raises(ModelFileError, match=r"'mean' declares 12,000,000,000,000 bytes and holds 64"):
        load_model(tmp_path / "forged.npz")


def test_pickled_objects_in_an_archive_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", mean=np.array([Evil(tmp_path), None], dtype=object))
    with pytest.raises(ModelFileError, match="'mean' holds pickled Python objects"):
        load_model(tmp_path / "objects.npz")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("version", [5, 7.3])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("shapeMU", None, "'shapeMU' is missing"),
        ("shapeMU", basis(17, 1), "'shapeMU' has 17 coordinates; takes three for each vertex"),
        ("shapePC", basis(15, 2), "'shapePC' has shape (15, 2); takes (18, N)"),
        ("shapeEV", np.array([[1.0], [np.nan]]), "'shapeEV' has 1 values that are NaN"),
        ("tl", TRIANGLES.astype(float), "'tl' has indices from 0 to 5; takes whole numbers from 1 to 6"),
    ],
)
def test_basel_2009_names_the_bad_field(tmp_path, version, name, value, message):
    arrays = basel2009_arrays()
    arrays.pop(name)
    write_mat(tmp_path / "bad.mat", arrays | ({} if value is None else {name: value}), version)
    with pytest.raises(ModelFileError) as error:
        load_model(tmp_path / "bad.mat")
    assert says(error, f"face model {tmp_path / 'bad.mat'}: the field {message}")


@pytest.mark.parametrize("version", [5, 7.3])
def test_truncated_mat_files_are_refused(tmp_path, version):
    arrays = basel2009_arrays()
    arrays.pop("texMU")
    write_mat(tmp_path / "whole.mat", arrays, version)
    whole = (tmp_path / "whole.mat").read_bytes()
    for part in (0.2, 0.6, 0.95):
        (tmp_path / "cut.mat").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ModelFileError, match="cut.mat: "):
            load_model(tmp_path / "cut.mat")


def test_bad_expression_files_are_named(tmp_path):
    write_mat(tmp_path / "model.mat", basel2009_arrays(), 5)
    write_expressions(tmp_path, V)
    (tmp_path / "std_exp.txt").write_text("1 2 3")
    with pytest.raises(ModelFileError, match=r"std_exp.txt: the field .* has shape \(3,\); takes \(2,\)"):
        load_model(tmp_path / "model.mat")
    (tmp_path / "std_exp.txt").unlink()
    with pytest.raises(ModelFileError, match="std_exp.txt: the field 'standard deviations' is missing"):
        load_model(tmp_path / "model.mat")
    for content in (b"", b"\x02\0\0\0", (tmp_path / "Exp_Pca.bin").read_bytes()[:-4]):
        (tmp_path / "Exp_Pca.bin").write_bytes(content)
        with pytest.raises(ModelFileError, match="Exp_Pca.bin: the field 'expressions' has"):
            load_model(tmp_path / "model.mat")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("/shape/model/pcaVariance", None, "is missing"),
        ("/shape/model/pcaVariance", np.array([1.0, -1.0, 1.0]), "has negative values; takes variances"),
        ("/shape/model/pcaBasis", basis(3, 3 * V), "has shape (3, 18); takes (18, N)"),
        ("/shape/representer/cells", TRIANGLES.T + 5, "has indices from 5 to 10; takes whole numbers from 0 to 5"),
        ("/expression/model/mean", basis(3), "has shape (3,); takes (18,)"),
        ("/expression/model/mean", np.bytes_("text"), "has values of type"),
        ("/metadata/landmarks/json", "no list", "cannot be read (Expecting value"),
        ("/metadata/landmarks/json", '[{"id": "center.nose.tip"}]', "cannot be read ('coordinates'); takes text"),
        ("/metadata/landmarks/json", np.zeros(2), "cannot be read"),
        (
            "/metadata/landmarks/json",
            f'[{{"id": "center.nose.tip", "coordinates": [1, 2, {10**400}]}}]',
            "cannot be read (int too large",
        ),
        ("/metadata/landmarks/json", "[" * 100_000, "cannot be read"),
    ],
)
def test_basel_2017_names_the_bad_field(tmp_path, name, value, message):
    arrays = basel2017_arrays()
    arrays.pop(name)
    write_h5(tmp_path / "bad.h5", arrays | ({} if value is None else {name: value}))
    with pytest.raises(ModelFileError) as error:
        load_model(tmp_path / "bad.h5")
    assert says(error, f"face model {tmp_path / 'bad.h5'}: the field {name!r} {message}")


def test_numbers_that_no_file_holds_are_not_made(tmp_path):
    import h5py

    arrays = basel2017_arrays()
    shape = arrays.pop("/shape/model/mean").shape
    write_h5(tmp_path / "empty.h5", arrays)
    with h5py.File(tmp_path / "empty.h5", "r+") as file:
        file.create_dataset("/shape/model/mean", shape, "u1")
    with pytest.raises(ModelFileError, match="'/shape/model/mean' declares 18 values and holds none"):
        load_model(tmp_path / "empty.h5")
    arrays = basel2009_arrays()
    cell = np.empty((1, 1), object)
    cell[0, 0] = arrays["shapePC"]
    write_mat(tmp_path / "cell.mat", arrays | {"shapePC": cell}, 5)
    with pytest.raises(ModelFileError, match="'shapePC' is a cell, or there twice; takes one matrix of numbers"):
        load_model(tmp_path / "cell.mat")


def test_components_that_are_infinite_in_millimetres_are_refused(tmp_path):
    arrays = basel2017_arrays()
    for name in "pcaBasis", "pcaVariance":
        arrays[f"/shape/model/{name}"] = np.full_like(arrays[f"/shape/model/{name}"], 1e30)
    write_h5(tmp_path / "huge.h5", arrays)
    with pytest.raises(ModelFileError, match="huge.h5: the field 'identity' has values that are infinite"):
        load_model(tmp_path / "huge.h5")


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path, monkeypatch):
    import h5py

    arrays = basel2017_arrays()
    write_h5(tmp_path / "other.h5", arrays)
    mean = arrays.pop("/shape/model/mean")
    for place, content in {
        "link": h5py.ExternalLink("other.h5", "/shape/model/mean"),
        "soft": h5py.SoftLink("/shape/model/pcaVariance"),
    }.items():
        write_h5(tmp_path / f"{place}.h5", arrays | {"/shape/model/mean": content})
        with pytest.raises(ModelFileError, match="'/shape/model/mean' is a link to somewhere else"):
            load_model(tmp_path / f"{place}.h5")
    write_h5(tmp_path / "outside.h5", arrays)
    (tmp_path / "outside.raw").write_bytes(mean.tobytes())
    with h5py.File(tmp_path / "outside.h5", "r+") as file:
        file.create_dataset(
            "/shape/model/mean", mean.shape, "f4", external=[(str(tmp_path / "outside.raw"), 0, mean.nbytes)]
        )
    with pytest.raises(ModelFileError, match="keeps its data in other files"):
        load_model(tmp_path / "outside.h5")
    monkeypatch.setattr(checks, "MAX_BYTES", 100)
    with pytest.raises(ModelFileError, match=r"other.h5: .* declares .* bytes; takes at most 100"):
        load_model(tmp_path / "other.h5")


def test_truncated_hdf5_is_refused(tmp_path):
    write_h5(tmp_path / "whole.h5", basel2017_arrays())
    (tmp_path / "cut.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:3000])
    with pytest.raises(ModelFileError, match="cut.h5: not a HDF5 file that can be read"):
        load_model(tmp_path / "cut.h5")


def test_bad_ict_folders_are_named(tmp_path):
    with pytest.raises(ModelFileError, match="a folder without generic_neutral_mesh.obj"):
        load_model(tmp_path)
    ict_folder(tmp_path / "ict")
    write_obj(tmp_path / "ict" / "jawOpen.obj", MEAN[:5])
    with pytest.raises(ModelFileError, match=r"jawOpen.obj: the field 'v' has shape \(5, 3\); takes \(6, 3\)"):
        load_model(tmp_path / "ict")
    for faces, message in {
        "f 1/1 2/2 7/3\n": r"the field 'f' has indices from 1 to 7; takes whole numbers from 1 to 6",
        "f 1/1 2/2 3/6\n": r"the field 'f \(texture\)' has indices from 1 to 6; takes whole numbers from 1 to 5",
        "f 1 2 x\n": "not a Wavefront OBJ file that can be read",
        "": "the field 'f' is empty",
    }.items():
        write_obj(tmp_path / "ict" / "generic_neutral_mesh.obj", MEAN, faces)
        with pytest.raises(ModelFileError, match=f"generic_neutral_mesh.obj: {message}"):
            load_model(tmp_path / "ict")


def test_what_is_no_file_in_a_folder_is_not_waited_for(tmp_path):
    ict_folder(tmp_path / "ict")
    (tmp_path / "ict" / "identity000.obj").unlink()
    os.mkfifo(tmp_path / "ict" / "identity000.obj")
    with pytest.raises(ModelFileError, match="identity000.obj: not a file"):
        load_model(tmp_path / "ict")


def test_truncated_and_forged_surrey_files_are_refused(tmp_path):
    whole = surrey_bytes(basis(3 * V, 2))
    bad = {
        "cut": (whole[:100], "the field 'basis' wants"),
        "huge": (struct.pack("<Iii", 1, 2**31 - 1 - 1, 1) + whole[12:], "the field 'mean' wants 8,589,934,584 bytes"),
        "range": (surrey_bytes(basis(3 * V, 2), triangles=TRIANGLES + 9), "the field 'triangles' has indices from 9"),
        "nan": (surrey_bytes(basis(3 * V, 2) * np.float32("nan")), "the field 'basis' has 36 values that are NaN"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=f"face model {tmp_path / name}: {message}"):
            load_model(tmp_path / name)
    (tmp_path / "shape").write_bytes(whole)
    (tmp_path / "expression_blendshapes_6.bin").write_bytes(blendshape_bytes({"anger": MEAN})[:-1])
    with pytest.raises(ModelFileError, match="shapes_6.bin: the field 'anger' wants 72 bytes and 71 are left"):
        load_model(tmp_path / "shape")


def test_files_of_no_known_format_are_refused(tmp_path):
    for content in (b"", b"no model", b"\x93NUMPY\x01\x00", bytes(100), b"\x80"):
        (tmp_path / "thing").write_bytes(content)
        with pytest.raises(ModelFileError, match="thing: not a jaxface .npz nor a file of Basel, FLAME, ICT or Surrey"):
            load_model(tmp_path / "thing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="pipe: not a file"):
        load_model(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="missing.npz: no such file"):
        load_model("missing.npz")
    with pytest.raises(ModelFileError, match="nowhere/face: no such file"):
        load_model("nowhere/face")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("expression_names", np.array(["a", "b"]), "the field 'expression_names' has 2 names; takes 1 of them"),
        ("landmarks68", np.arange(68), "the field 'landmarks68' has indices from 0 to 67"),
        ("identity", basis(V, 3, 2), "the field 'identity' has shape (6, 3, 2); takes (N, 6, 3)"),
        ("tri", np.zeros((4, 3), int), "the field 'triangles' leaves out landmark vertex 1"),
    ],
)
def test_ict_archive_names_the_bad_field(tmp_path, name, value, message):
    np.savez(tmp_path / "bad.npz", **ict_arrays() | {name: value})
    with pytest.raises(ModelFileError) as error:
        load_model(tmp_path / "bad.npz")
    assert says(error, f"face model {tmp_path / 'bad.npz'}: {message}")
