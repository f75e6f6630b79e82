"""Files of tensors: what other programs write is read, and what is damaged is refused by place and reason."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aish.tensor.dtypes import BY_NAME, BY_SAFETENSORS, TABLE
from aish.tensor.entry import Entry
from aish.tensor.errors import DataError, NotFoundError, StorageError, TensorError, UsageError
from aish.tensor.npy_file import parse_header as parse_npy
from aish.tensor.safetensors_file import parse_header
from aish.tensor.sources import Address, open_file, walk
from aish.tensor.widen import numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray


def read_all(path: Path, block_bytes: int = 1 << 20) -> dict[str, NDArray[Any]]:
    """Every tensor of the file, put together from its blocks."""
    file = open_file(str(path))
    try:
        found = {}
        for entry in file.entries:
            unit = entry.dtype.item_bytes if entry.dtype else 1
            parts = [numbers(block, entry, file.path).copy() for block in file.blocks(entry, unit, block_bytes)]
            flat = np.concatenate(parts) if parts else numbers(memoryview(b""), entry, file.path)
            found[entry.key] = flat.reshape(entry.shape, order="F" if entry.fortran else "C")
        return found
    finally:
        file.close()


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_all(path)
    assert caught.value.file is not None
    assert str(path) in caught.value.file
    return caught.value


# -- safetensors


def test_reads_what_the_reference_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    sent = {
        "w": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "scalar": np.array(5, np.int64),
        "empty": np.zeros((0, 7), np.float16),
        "flags": np.array([True, False]),
        "ä::b": np.arange(3, dtype=np.uint8),
    }
    safetensors.numpy.save_file(sent, str(path), {"who": "me"})
    got = read_all(path)
    assert got.keys() == sent.keys()
    for key, array in sent.items():
        np.testing.assert_array_equal(got[key], array)
        assert got[key].dtype == array.dtype
    assert open_file(str(path)).metadata == {"who": "me"}


@pytest.mark.parametrize("name", [d.safetensors for d in TABLE if d.safetensors])
def test_knows_every_type_of_the_reference(name: str) -> None:
    """The package's own list, so a type that it gains is seen here."""
    bits = BY_SAFETENSORS[name].bits
    header = json.dumps({"x": {"dtype": name, "shape": [8], "data_offsets": [0, bits]}}).encode()
    safetensors.deserialize(struct.pack("<Q", len(header)) + header + bytes(bits))
    entries, _ = parse_header(header, bits, "f")
    assert entries[0].nbytes == bits


def test_the_reference_knows_no_type_that_we_do_not() -> None:
    header = json.dumps({"x": {"dtype": "NOPE", "shape": [], "data_offsets": [0, 1]}}).encode()
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(struct.pack("<Q", len(header)) + header + b"\0")
    names = str(caught.value).split("expected one of ")[1].split(" at line")[0]
    assert {name.strip(" `") for name in names.split(",")} == set(BY_SAFETENSORS)


BAD_HEADERS: dict[str, tuple[Any, str, str]] = {
    # what is wrong: (header, field named, said)
    "not an object": ([1], "header", "expected an object"),
    "a number for a tensor": ({"x": 1}, "x", "expected an object of"),
    "a field missing": ({"x": {"dtype": "U8", "shape": [8]}}, "x", "data_offsets"),
    "a field too many": (
        {"x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8], "y": 1}},
        "x",
        "expected an object of",
    ),
    "an unknown type": ({"x": {"dtype": "U9", "shape": [8], "data_offsets": [0, 8]}}, "x.dtype", "unknown"),
    "a type that is no text": ({"x": {"dtype": [], "shape": [8], "data_offsets": [0, 8]}}, "x.dtype", "unknown"),
    "a negative dimension": ({"x": {"dtype": "U8", "shape": [-8], "data_offsets": [0, 8]}}, "x.shape", "whole"),
    "a fraction": ({"x": {"dtype": "U8", "shape": [8.0], "data_offsets": [0, 8]}}, "x.shape", "whole"),
    "a truth": ({"x": {"dtype": "U8", "shape": [True, 8], "data_offsets": [0, 8]}}, "x.shape", "whole"),
    "too many dimensions": (
        {"x": {"dtype": "U8", "shape": [1] * 65, "data_offsets": [0, 8]}},
        "x.shape",
        "at most 64",
    ),
    "a product that overflows": (
        {"x": {"dtype": "U8", "shape": [2**32, 2**32, 2**32], "data_offsets": [0, 8]}},
        "x.shape",
        "fits no file",
    ),
    "a product that overflows to 8": (
        {"x": {"dtype": "U8", "shape": [2**61 + 1, 8], "data_offsets": [0, 8]}},
        "x.shape",
        "fits no file",
    ),
    "an overflow hidden by a zero": (
        {"x": {"dtype": "U8", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}},
        "x.shape",
        "fits no file",
    ),
    "offsets outside": ({"x": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, "x.data_offsets", "leaves"),
    "offsets turned around": (
        {"x": {"dtype": "U8", "shape": [8], "data_offsets": [8, 0]}},
        "x.data_offsets",
        "leaves",
    ),
    "offsets beyond 64 bits": (
        {"x": {"dtype": "U8", "shape": [8], "data_offsets": [2**64, 2**64 + 8]}},
        "x.data_offsets",
        "expected [begin, end]",
    ),
    "three offsets": ({"x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 4, 8]}}, "x.data_offsets", "expected"),
    "a size that does not fit": (
        {"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 8]}},
        "x.data_offsets",
        "expected 4",
    ),
    "an overlap": (
        {
            "x": {"dtype": "U8", "shape": [5], "data_offsets": [0, 5]},
            "y": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]},
        },
        "y.data_offsets",
        "overlaps x",
    ),
    "a gap": (
        {
            "x": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
            "y": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]},
        },
        "y.data_offsets",
        "gap after x",
    ),
    "data left over": ({"x": {"dtype": "U8", "shape": [7], "data_offsets": [0, 7]}}, "data", "end at 7"),
    "half a byte": ({"x": {"dtype": "F4", "shape": [15], "data_offsets": [0, 8]}}, "x.shape", "fits no file"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, "__metadata__", "strings"),
    "metadata that is a list": ({"__metadata__": []}, "__metadata__", "strings"),
}


def write_safetensors(path: Path, header: bytes, data: bytes = bytes(8), length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_refuses_a_header(tmp_path: Path, name: str) -> None:
    header, field, said = BAD_HEADERS[name]
    error = refused(write_safetensors(tmp_path / "x.safetensors", json.dumps(header).encode()))
    assert error.field == field
    assert said in str(error)
    assert error.exit_status == 65


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b'{"x": NaN}', "no JSON"),
        (b'{"a":1,"a":1}', "'a' is there twice"),
        (b"{", "not JSON"),
        (b'{"x": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"x": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b'{"\xff": 1}', "not UTF-8 at byte 2"),
        (b"", "not JSON"),
    ],
)
def test_refuses_what_is_no_json(tmp_path: Path, header: bytes, said: str) -> None:
    assert said in str(refused(write_safetensors(tmp_path / "x.safetensors", header)))


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 1000, 3])
def test_refuses_a_length_of_the_header_that_cannot_be(tmp_path: Path, length: int) -> None:
    path = write_safetensors(tmp_path / "x.safetensors", b"{}" * 10, length=length)
    assert "header" in str(refused(path))


def test_refuses_a_header_bomb_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:  # sparse: no bytes are written
        file.write(struct.pack("<Q", 1 << 30))
        file.truncate((1 << 30) + 8)
    error = refused(path)
    assert (error.field, "at most 33554432" in str(error)) == ("header length", True)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    """A mapping would end the program with SIGBUS."""
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(1 << 20, np.uint8)}, str(path))
    file = open_file(str(path))
    blocks = file.blocks(file.entries[0], 1, 4096)
    next(blocks)
    os.truncate(path, 50_000)
    with pytest.raises(DataError, match="bytes early"):
        list(blocks)


SAFE_FIELDS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**65) | st.floats() | st.sampled_from(list(BY_SAFETENSORS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["dtype", "shape", "a"]), inner),
    max_leaves=8,
)
TENSOR_LIKE = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*BY_SAFETENSORS, "X"]) | SAFE_FIELDS,
        "shape": st.lists(st.integers(0, 5) | SAFE_FIELDS, max_size=3) | SAFE_FIELDS,
        "data_offsets": st.lists(st.integers(0, 40), min_size=2, max_size=2) | SAFE_FIELDS,
    }
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), TENSOR_LIKE | SAFE_FIELDS), st.integers(0, 40))
def test_any_header_is_refused_or_safe(header: dict[str, Any], data_bytes: int) -> None:
    """And whatever we take, the reference takes as well."""
    text = json.dumps(header, allow_nan=True).encode()
    try:
        entries, _ = parse_header(text, data_bytes, "f")
    except DataError:
        return
    assert sum(entry.nbytes for entry in entries) == data_bytes
    safetensors.deserialize(struct.pack("<Q", len(text)) + text + bytes(data_bytes))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3), st.data())
def test_a_valid_file_of_the_reference_is_never_refused(count: int, data: st.DataObject) -> None:
    arrays = {
        f"t{n}": np.zeros(
            data.draw(st.lists(st.integers(0, 4), max_size=4)),
            data.draw(st.sampled_from(["f4", "u1", "i8", "?", "c8"])),
        )
        for n in range(count)
    }
    raw = safetensors.numpy.save(arrays)
    length = struct.unpack("<Q", raw[:8])[0]
    entries, _ = parse_header(raw[8 : 8 + length], len(raw) - 8 - length, "f")
    assert {entry.key: entry.shape for entry in entries} == {key: array.shape for key, array in arrays.items()}


# -- npy and npz


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(5, dtype=">i4"),
        np.array(3, np.uint16),
        np.zeros((0, 3), np.complex64),
        np.array([True, False]),
        np.zeros((2, 2, 2), ">f2"),
        np.arange(4, dtype="=u8"),
    ],
)
def test_reads_what_numpy_saves(tmp_path: Path, array: NDArray[Any]) -> None:
    path = tmp_path / "x.npy"
    np.save(path, array)
    got = read_all(path)["array"]
    np.testing.assert_array_equal(got, array)
    assert got.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    np.savez(tmp_path / "x.npz", a=array, b=array)
    np.savez_compressed(tmp_path / "y.npz", a=array, b=array)
    for name in ("x.npz", "y.npz"):
        both = read_all(tmp_path / name, block_bytes=16)
        assert list(both) == ["a", "b"]
        np.testing.assert_array_equal(both["b"], array)


def npy(header: bytes, data: bytes = bytes(8), version: bytes = b"\x01\x00", length: int | None = None) -> bytes:
    size = len(header) if length is None else length
    return b"\x93NUMPY" + version + size.to_bytes(2 if version == b"\x01\x00" else 4, "little") + header + data


NPY = "{{'descr': {}, 'fortran_order': {}, 'shape': {}}}"


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        (npy(b"{}"), "header", "expected a dict"),
        (npy(b"__import__('os').system('true')"), "header", "literal"),
        (npy(b"(" * 5000), "header", "literal"),
        (npy(b"{'descr': '<f8'"), "header", "literal"),
        (npy(b"\xff\xfe"), "header", "literal"),
        (npy(NPY.format("'<f8'", "0", "(1,)").encode()), "fortran_order", "True or False"),
        (npy(NPY.format("'<f8'", "False", "[1]").encode()), "shape", "whole numbers"),
        (npy(NPY.format("'<f8'", "False", "(-1,)").encode()), "shape", "whole numbers"),
        (npy(NPY.format("'<f8'", "False", "(True,)").encode()), "shape", "whole numbers"),
        (npy(NPY.format("'<f8'", "False", f"({2**62},{2**62})").encode()), "shape", "fits no file"),
        (npy(NPY.format("'<f8'", "False", f"(0,{2**62},{2**62})").encode()), "shape", "fits no file"),
        (npy(NPY.format("'<f8'", "False", "(2,)").encode()), "data", "expected 16"),
        (npy(NPY.format("'<f4'", "False", "(1,)").encode()), "data", "expected 4"),
        (npy(NPY.format("'|O'", "False", "(1,)").encode()), "descr", "Python objects"),
        (npy(NPY.format("'|O8'", "False", "(1,)").encode()), "descr", "Python objects"),
        (npy(NPY.format("[('a', '<f8')]", "False", "(1,)").encode()), "descr", "records"),
        (npy(NPY.format("'<f3'", "False", "(1,)").encode()), "descr", "no type"),
        (npy(NPY.format("'<x8'", "False", "(1,)").encode()), "descr", "like of"),
        (npy(NPY.format("8", "False", "(1,)").encode()), "descr", "like of"),
        (npy(b"{}", version=b"\x09\x00"), "version", "9.0"),
        (npy(b"{}", version=b"\x02\x00", length=1 << 31), "header length", "at most"),
        (npy(b"{}", length=5000), "header", "bytes early"),
        (b"\x93NUMPY", "header", "bytes early"),
    ],
)
def test_refuses_a_damaged_npy(tmp_path: Path, content: bytes, field: str, said: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    error = refused(path)
    assert error.field == field
    assert said in str(error)


def test_never_unpickles(tmp_path: Path) -> None:
    """A pickle runs code: np.load refuses only where it is told to."""
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    error = refused(path)
    assert "pickled" in str(error.hint)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}()[]',:<>|fiucOVSb012345678 descrfortran_ordershapeTrueFalse", max_size=80) | st.binary())
def test_any_npy_header_is_refused_or_safe(header: str | bytes) -> None:
    data = header.encode() if isinstance(header, str) else header
    try:
        entry = parse_npy(data, (1, 0), "array", "f")
    except DataError:
        return
    assert entry.nbytes >= 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.booleans())
def test_a_damaged_archive_is_refused_or_read(tmp_path: Path, data: st.DataObject, compressed: bool) -> None:
    """Bytes changed anywhere: an error of ours, or the tensors."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, a=np.arange(50), b=np.zeros((3, 3), np.float32))
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    path = tmp_path / "x.npz"
    path.write_bytes(raw)
    try:
        read_all(path)
    except TensorError:
        pass


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Its directory says 8 bytes of data, its stream holds a gigabyte: no more than the header asks for is read."""
    path = tmp_path / "x.npz"
    content = npy(NPY.format("'<f8'", "False", "(1,)").encode()) + bytes(50_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    assert path.stat().st_size < 100_000
    assert "expected 8" in str(refused(path))


def test_an_archive_with_an_endless_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 9, 9, 1 << 31, 0, 0))
    assert refused(path).field == "directory"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda archive: archive.writestr("readme.txt", "x"), "no .npy"),
        (lambda archive: archive.writestr("model/data.pkl", "x"), "PyTorch"),
        (lambda archive: archive.writestr("a.npy", "x"), "early"),
        (lambda archive: archive.writestr(zipfile.ZipInfo("a.npy"), b"x" * 99, zipfile.ZIP_LZMA), "method 14"),
    ],
)
def test_refuses_other_archives(tmp_path: Path, make: Callable[[zipfile.ZipFile], None], said: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        make(archive)
    assert said in str(refused(path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuses_one_key_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for _ in range(2):
            archive.writestr("a.npy", npy(NPY.format("'<f8'", "False", "(1,)").encode()))
    assert "twice" in str(refused(path))


def test_a_flipped_bit_in_an_archive_is_found_by_its_sum(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(1000))
    raw = bytearray(path.read_bytes())
    raw[4000] ^= 1
    path.write_bytes(raw)
    assert "CRC" in str(refused(path))


# -- which file, which key


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"GGUF" + bytes(20), "GGUF"), (b"hello world, this is text", "no format"), (b"\x7fELF", "ELF")],
)
def test_says_what_is_read_where_a_file_is_something_else(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    error = refused(path)
    assert said in str(error)
    assert ".safetensors" in str(error.hint)


def test_a_file_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model"
    safetensors.numpy.save_file({"x": np.ones(2)}, str(path))
    assert read_all(path)["x"].sum() == 2


def test_what_cannot_be_opened_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        open_file(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="a folder"):
        open_file(str(tmp_path))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="not a regular file"):  # and does not wait for a writer
        open_file(str(tmp_path / "fifo"))
    with pytest.raises(UsageError, match="null"):
        open_file("a\0b")
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(StorageError, match="symbolic links"):
        open_file(str(tmp_path / "loop"))


def test_keys_are_chosen_by_name_and_by_pattern(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({key: np.ones(1) for key in ("h.0.w", "h.1.w", "h.0.b", "a::b")}, str(path))

    def keys(text: str) -> list[str]:
        return sorted(found.entry.key for found in walk(Address(text)))

    assert keys(str(path)) == ["a::b", "h.0.b", "h.0.w", "h.1.w"]
    assert keys(f"{path}::h.0.w") == ["h.0.w"]
    assert keys(f"{path}::h.*.w") == ["h.0.w", "h.1.w"]
    with pytest.raises(NotFoundError, match=r"no key matches 'h\.0\.x'") as caught:
        keys(f"{path}::h.0.x")
    assert "h.0.w" in str(caught.value.hint)
    odd = tmp_path / "odd::name"
    odd.write_bytes(path.read_bytes())
    assert len(keys(str(odd))) == 4


# -- numbers


@pytest.mark.parametrize("name", [d.name for d in TABLE if d.storage and not d.native])
def test_small_floats_have_the_values_that_ml_dtypes_gives_them(name: str) -> None:
    dtype = BY_NAME[name]
    patterns = np.arange(1 << dtype.bits, dtype=dtype.storage)
    entry = Entry("x", dtype, name, patterns.shape, patterns.nbytes, 0)
    got = numbers(patterns.data.cast("B"), entry, "f")
    np.testing.assert_array_equal(got, patterns.view(getattr(ml_dtypes, name)).astype(np.float32))
    assert got.dtype == np.float32


def test_a_file_without_tensors_is_not_found(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "x.safetensors", b"{}", b"")
    with pytest.raises(NotFoundError, match="no tensors"):
        list(walk(Address(str(path))))
