"""Writes small face models in other people's formats, field by field as the readers' docstrings say."""

import json
import struct

import numpy as np

RNG = np.random.default_rng(3)
V = 6
TRIANGLES = np.array([[0, 1, 2], [2, 3, 0], [3, 4, 5], [5, 0, 1]])
MEAN = RNG.normal(size=(V, 3)).astype(np.float32)


def basis(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def strip(count):
    """Triangles that use ``count`` vertices."""
    return np.arange(count - 2)[:, None] + np.arange(3)


def basel2009_arrays(vertices=V, components=2, triangles=TRIANGLES):
    return dict(
        shapeMU=basis(3 * vertices, 1),
        shapePC=basis(3 * vertices, components),
        shapeEV=np.linspace(2e3, 1e3, components, dtype=np.float32)[:, None],
        tl=triangles[:, [0, 2, 1]] + 1.0,
        texMU=basis(3 * vertices, 1),
    )


def write_mat(path, arrays, version):
    if version == 5:
        from scipy.io import savemat

        savemat(path, arrays, do_compression=True)
        return
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM")


def write_expressions(folder, vertices, components=2):
    """``Exp_Pca.bin`` and ``std_exp.txt``; returns what they hold: (K, 3n), (K,)."""
    components_, deviations = basis(components, 3 * vertices), np.linspace(500.0, 300.0, components)
    head, unused = struct.pack("<i", components), basis(3 * vertices)
    (folder / "Exp_Pca.bin").write_bytes(head + unused.tobytes() + components_.tobytes())
    (folder / "std_exp.txt").write_text(" ".join(map(str, deviations)))
    return components_, deviations


def basel2017_arrays():
    return {
        "/shape/model/mean": MEAN.ravel(),
        "/shape/model/pcaBasis": basis(3 * V, 3),
        "/shape/model/pcaVariance": np.array([9.0, 4.0, 1.0], np.float32),
        "/shape/representer/points": basis(3, V),
        "/shape/representer/cells": TRIANGLES.T.astype(np.uint32),
        "/expression/model/mean": basis(3 * V),
        "/expression/model/pcaBasis": basis(3 * V, 2),
        "/expression/model/pcaVariance": np.array([0.25, 0.01], np.float32),
        "/metadata/landmarks/json": np.bytes_('[{"id": "center.nose.tip", "coordinates": [0, 0, 130]}]'),
    }


def basel2017_head(model, names):
    """A Basel file of another model's head, of its landmarks those of these names: {name: place (3,) mm}."""
    mean = np.asarray(model.mean, np.float32)
    flat = lambda field: np.asarray(field, np.float32).reshape(mean.size, -1)
    split = lambda field: {
        "pcaBasis": flat(field) / np.linalg.norm(flat(field), axis=0),
        "pcaVariance": np.square(np.linalg.norm(flat(field), axis=0)),
    }
    shape = {"mean": 0.9 * mean.ravel()} | split(model.identity)
    expression = {"mean": 0.1 * mean.ravel()} | split(model.expression)
    listed = [{"id": name, "coordinates": (0.9 * place).tolist()} for name, place in names.items()]
    return {
        **{f"/shape/model/{name}": array for name, array in shape.items()},
        **{f"/expression/model/{name}": array for name, array in expression.items()},
        "/shape/representer/points": 0.9 * mean.T,
        "/shape/representer/cells": np.asarray(model.triangles).T.astype(np.uint32),
        "/metadata/landmarks/json": json.dumps(listed),
    }


def write_h5(path, arrays):
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


class Evil:
    """Makes a file when it is unpickled by one who trusts it."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.folder / 'executed'}",)


def flame_arrays(vertices=V, triangles=TRIANGLES):
    from scipy.sparse import csc_matrix

    return dict(
        v_template=basis(vertices, 3).astype(np.float64),
        shapedirs=basis(vertices, 3, 400),
        f=triangles.astype(np.uint32),
        J_regressor=csc_matrix(np.eye(5, V)),
        bs_style="lbs",
        weights=np.float64(0.5),
    )


def write_obj(path, vertices, faces="f 1/1 2/2 3/3 4/4\nf 4/4 5/5 6/1\n"):
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in vertices]
    lines += [f"vt {k / 5} {1 - k / 5}\n" for k in range(5)]
    path.write_text("# a comment\nmtllib x.mtl\n" + "".join(lines) + "usemtl skin\n" + faces)


def ict_folder(folder):
    folder.mkdir()
    shapes = {name: MEAN + basis(V, 3) for name in ("identity000", "identity001", "jawOpen", "eyeBlink_L")}
    for name, vertices in ({"generic_neutral_mesh": MEAN} | shapes).items():
        write_obj(folder / f"{name}.obj", vertices)
    return shapes


def matrix(array):
    return struct.pack("<ii", *array.shape) + array.T.astype("<f4").tobytes()


def surrey_bytes(components, version=1, triangles=TRIANGLES):
    matrices = matrix(MEAN.reshape(-1, 1)) + matrix(components) + matrix(np.array([[9.0], [4.0]]))
    faces = struct.pack("<Q", len(triangles)) + triangles.astype("<i4").tobytes()
    return struct.pack("<I", version) + matrices + faces + bytes(40)


def blendshape_bytes(shapes):
    content = struct.pack("<Q", len(shapes))
    for name, shape in shapes.items():
        content += struct.pack("<Q", len(name)) + name.encode() + matrix(shape.reshape(-1, 1))
    return content


def ict_arrays():
    return dict(
        neutral=MEAN,
        identity=basis(2, V, 3),
        expression=basis(1, V, 3),
        expression_names=np.array(["jawOpen"]),
        tri=TRIANGLES,
        tri_uv=TRIANGLES,
        uv=basis(V, 2),
        landmarks68=np.arange(68) % V,
    )
