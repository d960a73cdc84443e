"""The border: what comes from outside is bounded, plain and finite, or it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kdcheck.border import (
    MEGABYTE,
    MOST_DEPTH,
    json_of,
    read_file,
    read_inside,
    read_toml,
    toml_of,
)


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * MEGABYTE)
    assert read_file(path, limit=MEGABYTE) == b"x" * MEGABYTE
    path.write_bytes(b"x" * (MEGABYTE + 1))
    with pytest.raises(OSError, match="file has more than 1 MiB"):
        read_file(path, limit=MEGABYTE)


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path / "pipe", "pipe is a pipe, socket or device, not a file"),
        (Path("/dev/zero"), "zero is a pipe, socket or device"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(OSError, match=said):
            read_file(path)


def test_a_link_is_followed_to_a_file_of_ones_own_and_never_in_the_folder_of_a_stranger(
    tmp_path: Path,
) -> None:
    (tmp_path / "secret").write_bytes(b"mine")
    folder = tmp_path / "bundle"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(folder / "inner")
    (folder / "inner" / "plain").write_bytes(b"theirs")
    assert read_file(folder / "inner" / "file") == b"mine"
    assert read_inside(folder, "inner/plain") == b"theirs"
    for name, part in (("inner/file", "file"), ("linked/plain", "linked")):
        with pytest.raises(OSError, match=rf"{name} is reached by a link, {part}"):
            read_inside(folder, name)


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"]}" * (depth // 2)


def test_values_go_as_deep_as_the_border_says_and_no_deeper() -> None:
    assert json_of(nested(MOST_DEPTH)) != {}
    for content in (nested(MOST_DEPTH + 2), b"[" * 10**6):
        with pytest.raises(ValueError, match="more than 64 deep"):
            json_of(content)
    for text in (
        b"a = " + b"[" * 10**5,
        b"a." * MOST_DEPTH + b"a = 1",
        b"[" + b"a." * 9999 + b"a]",
    ):
        with pytest.raises(ValueError, match="more than 64 deep"):
            toml_of(text)


def test_a_key_that_stands_twice_is_refused_since_two_readers_could_take_two_values() -> None:
    with pytest.raises(ValueError, match="the key 'margin' twice"):
        json_of(b'{"a": {"margin": 1, "b": 0, "margin": 2}}')


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_json_with_a_number_that_is_not_finite_is_refused(number: bytes) -> None:
    with pytest.raises(ValueError, match=r"the number -?(nan|inf), where finite ones are read"):
        json_of(b'{"margin": [' + number + b"]}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = nan", "the number nan"),
        (b"a = [1979-05-27]", "the date 1979-05-27"),
        (b"a = 07:32:00", "the date 07:32:00"),
        (b"a = 1979-05-27T07:32:00Z", "the date 1979-05-27 07:32:00"),
        ("a = 'ü'".encode("utf-16"), "utf-8"),
        ("a = 'ü'".encode("latin-1"), "utf-8"),
    ],
)
def test_toml_of_another_encoding_with_a_date_or_without_end_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_toml(path)


def test_half_a_character_that_no_file_could_hold_again_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        json_of(rb'{"\ud800": 1}')
    assert json_of(rb'"\ud83d\ude00"') == "😀"


def test_a_byte_order_mark_before_toml_is_no_part_of_it() -> None:
    assert toml_of(b"\xef\xbb\xbfa = 1") == {"a": 1}
