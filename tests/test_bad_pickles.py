"""Damaged and hostile pickles of FLAME: a sentence that names the file and the field, and nothing is executed."""

import pickle

import numpy as np
import pytest
from model_files import MEAN, TRIANGLES, Evil, V, basis, flame_arrays

from jaxface.model.readers import ModelFileError
from jaxface.model.store import load_model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("shapedirs"), "the field 'shapedirs' is missing; takes numbers of shape (6, 3, 400)"),
        (lambda a: a.update(shapedirs=basis(V, 3, 10)), "'shapedirs' has shape (6, 3, 10); takes (6, 3, 400)"),
        (lambda a: a.update(v_template=MEAN * np.nan), "the field 'v_template' has 18 values that are NaN"),
        (lambda a: a.update(v_template=["a"]), "the field 'v_template' has values of type"),
        (lambda a: a.update(v_template=np.array([None])), "the field 'v_template' has values of type object"),
        (lambda a: a.update(f=TRIANGLES + 3), "the field 'f' has indices from 3 to 8; takes whole numbers from 0 to 5"),
    ],
)
def test_flame_names_the_bad_field(tmp_path, change, message):
    arrays = flame_arrays()
    change(arrays)
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(arrays))
    with pytest.raises(ModelFileError) as error:
        load_model(tmp_path / "bad.pkl")
    assert f"face model {tmp_path / 'bad.pkl'}: " in str(error.value) and message in str(error.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_a_pickle_names_is_not_executed(tmp_path, protocol):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v_template": Evil(tmp_path)}, protocol))
    with pytest.raises(ModelFileError, match=r"evil.pkl: the pickle asks for \w+.system; .* nothing was exec"):
        load_model(tmp_path / "evil.pkl")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins\neval",
        "builtins\ngetattr",
        "__builtin__\nexecfile",
        "numpy\nload",
        "numpy.core.multiarray\nfromfile",
        "numpy.ma.core\n_mareconstruct",
        "numpy.testing._private.utils\nrunstring",
        "scipy.sparse\nload_npz",
        "scipy.sparse.linalg\ncg",
        "functools\npartial",
        "copyreg\n__newobj__",
    ],
)
def test_names_that_no_array_needs_are_refused(tmp_path, name):
    (tmp_path / "evil.pkl").write_bytes(f"(dS'v_template'\nc{name}\n(S'1'\ntRs.".encode())
    with pytest.raises(ModelFileError, match="the pickle asks for"):
        load_model(tmp_path / "evil.pkl")


@pytest.mark.parametrize(
    "value",
    [
        b"cnumpy\nndarray\n(I1000000000000\ntR",  # called, and not an argument of _reconstruct
        b"ccopyreg\n_reconstructor\n(cbuiltins\nset\ncbuiltins\nobject\nNtR",
        b"ccopyreg\n_reconstructor\n(dS'a'\nS'b'\nstb",  # a state for the stand-in itself
        b"c_codecs\nencode\n(Vx\nVrot13\ntR",
        b"cnumpy\ndtype\n(I5\ntR",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\ntRS'short'\ntR",
    ],
)
def test_forged_reconstruction_is_refused(tmp_path, value):
    (tmp_path / "forged.pkl").write_bytes(b"(dS'v_template'\n" + value + b"s.")
    with pytest.raises(ModelFileError, match="forged.pkl: not a pickle that can be read"):
        load_model(tmp_path / "forged.pkl")


def test_truncated_pickles_are_refused(tmp_path):
    whole = pickle.dumps(flame_arrays())
    for part in (0.001, 0.5, 0.999):
        (tmp_path / "cut.pkl").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ModelFileError, match="cut.pkl: not a pickle that can be read"):
            load_model(tmp_path / "cut.pkl")
    (tmp_path / "numbers.pkl").write_bytes(b"}r\0\0\0\x08.")
    with pytest.raises(ModelFileError, match="an object has the number 134,217,728 at byte 1"):
        load_model(tmp_path / "numbers.pkl")
    endless = MEAN.tolist()
    for _ in range(60):
        endless = endless, endless
    (tmp_path / "endless.pkl").write_bytes(pickle.dumps(flame_arrays() | {"v_template": endless}))
    with pytest.raises(ModelFileError, match="the field 'v_template' has values of type object"):
        load_model(tmp_path / "endless.pkl")
    (tmp_path / "list.pkl").write_bytes(b"\x80\2]q\0.")
    with pytest.raises(ModelFileError, match="list.pkl: the pickle holds no dictionary of arrays"):
        load_model(tmp_path / "list.pkl")
