"""A file is written whole or not at all."""

import errno

import pytest

from linphase.errors import LinphaseError
from linphase.files import whole, write_whole


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


def test_a_refusal_of_the_file_system_is_one_message_with_a_remedy(tmp_path):
    with pytest.raises(LinphaseError, match=r"x: cannot be written: No such file or directory\. Choose another place"):
        write_whole(tmp_path / "nowhere" / "x", "")
