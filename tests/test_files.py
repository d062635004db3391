"""A file is written whole or not at all."""

import errno
import os
import time

import pytest

from linphase.errors import LinphaseError
from linphase.files import SAFE_AGE, whole, write_whole


def names(directory):
    return sorted(file.name for file in directory.iterdir())


@pytest.mark.parametrize("content", ["σ\n", b"\x00\r\n"])
def test_what_is_written_is_there_and_nothing_besides(tmp_path, content):
    (tmp_path / "file").write_text("before")
    write_whole(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_file_stays_as_it_was_where_writing_stops_half_way(tmp_path, stop):
    def write():
        with whole(tmp_path / "file") as draft:
            draft.write_text("hal")
            raise stop

    (tmp_path / "file").write_text("before")
    with pytest.raises((LinphaseError, KeyboardInterrupt)):
        write()
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "before"


def test_a_draft_that_a_killed_writer_left_goes_with_the_next_file_after_a_day(tmp_path):
    old, young, others = (tmp_path / name for name in (".file.0123abcd.part", ".x.pdf.89abcdef.part", ".file.part"))
    for file in (old, young, others):
        file.touch()
    for file in (old, others):
        os.utime(file, (time.time() - 1.1 * SAFE_AGE,) * 2)
    write_whole(tmp_path / "file", "")
    assert names(tmp_path) == [others.name, young.name, "file"]


def test_a_refusal_of_the_file_system_is_one_message_with_a_remedy(tmp_path):
    with pytest.raises(LinphaseError, match=r"x: cannot be written: No such file or directory\. Choose another place"):
        write_whole(tmp_path / "nowhere" / "x", "")
