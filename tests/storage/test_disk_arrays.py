"""Rows on disk read back as they were appended, and a full disk is one line."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoseq.errors import OutputError
from videoseq.storage.disk_arrays import DiskArray, TemporaryArray

FRAME = np.dtype([("index", np.int64), ("seconds", np.float64)])


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.sampled_from([np.dtype(np.float32), np.dtype(np.uint8), FRAME]),
    st.sampled_from([(), (3,), (2, 1)]),
    st.data(),
)
def test_rows_are_read_as_in_memory(sizes, dtype, shape, data):
    expected = np.empty((0, *shape), dtype)
    with closing(TemporaryArray("rows")) as array:
        for size in sizes:
            rows = np.frombuffer(os.urandom(size * dtype.itemsize * int(np.prod(shape))), dtype).reshape(size, *shape)
            array.append(rows)
            expected = np.concatenate((expected, rows))
            start = data.draw(st.integers(0, len(expected)))
            stop = data.draw(st.integers(start, len(expected) + 2))
            assert array.read(start, stop).tobytes() == expected[start:stop].tobytes()
        assert len(array) == len(expected)
        chosen = np.random.default_rng(0).permutation(len(expected))
        assert array.take(chosen).tobytes() == expected[chosen].tobytes()
        mapped = array.mapped()
    assert (mapped.dtype, mapped.shape, mapped.tobytes()) == (dtype, expected.shape, expected.tobytes())


def test_rows_can_be_replaced_and_begin_where_the_file_is(tmp_path):
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"header")
        array = DiskArray(file)
        array.append(np.arange(4, dtype=np.uint8))
        array.write(1, np.array([9, 8], np.uint8))
        assert array.read(0, 4).tolist() == [0, 9, 8, 3]
    assert (tmp_path / "file").read_bytes() == b"header\x00\x09\x08\x03"


def test_rows_that_were_read_can_be_changed():
    with closing(TemporaryArray("rows")) as array:
        array.append(np.zeros(2))
        rows = array.read(0, 2)
        rows += 1
        assert array.read(0, 2).tolist() == [0, 0]


def test_a_folder_is_made_and_nothing_stays_in_it(tmp_path):
    with closing(TemporaryArray("rows", tmp_path / "new" / "folder")) as array:
        array.append(np.zeros(2))
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file: rows could not be written; .*; make room there, or ask$") as caught:
        TemporaryArray("rows", tmp_path / "file", "ask")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_disk_that_fills_up_is_the_same_error(monkeypatch):
    with open("/dev/full", "w+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
        array = TemporaryArray("rows")
        with pytest.raises(OutputError, match="rows could not be written; No space left on device"):
            array.append(np.zeros(2))
