"""Which lines of a lock count for another Python, and what is taken of a wheel."""

import os
import zipfile

import pytest
from shipping.locks import Target, requirements_for
from shipping.programs import PROGRAMS
from shipping.tree import File, Link, write
from shipping.wheels import unpacked

HASH = "--hash=sha256:" + "a" * 64


def test_markers_are_judged_by_the_target_and_taken_off():
    lock = (
        f"old==1.0 ; python_full_version < '3.13' \\\n    {HASH}\n"
        f"win==2.0 ; sys_platform == 'win32' \\\n    {HASH}\nall[x]==3.0 \\\n    {HASH} \\\n    {HASH}\n"
    )
    assert requirements_for(lock, Target("3.13", "x86_64")).split() == ["all==3.0", "\\", HASH, "\\", HASH]
    assert "old==1.0 \\\n" in requirements_for(lock, Target("3.11", "x86_64"))
    assert "win" not in requirements_for(lock, Target("3.11", "x86_64"))


def test_a_line_without_a_hash_is_refused():
    with pytest.raises(ValueError, match=r"loose==1.0 has no hash"):
        requirements_for("loose==1.0\n", Target("3.13", "x86_64"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_locks_are_read_whole(program):
    lock = program.lock.read_text()
    kept = requirements_for(lock, Target("3.13", "aarch64"))
    left_out = [line for line in lock.splitlines() if "win32" in line]
    assert kept.count("==") == lock.count("==") - lock.count(" == ") - len(left_out)
    assert " ; " not in kept


def test_platforms_are_those_of_the_machine():
    assert "manylinux_2_28_aarch64" in Target("3.13", "aarch64").platforms
    assert not [tag for tag in Target("3.13", "aarch64").platforms if "x86" in tag or tag.startswith("manylinux1")]


@pytest.mark.parametrize("name", ["x-1.data/data/etc/passwd", "../outside", "/etc/passwd", "a/../../b"])
def test_a_wheel_that_reaches_elsewhere_is_refused(tmp_path, name):
    wheel = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(ValueError, match="does not go to site-packages"):
        list(unpacked(wheel))


def test_a_wheel_s_scripts_are_left_out(tmp_path):
    wheel = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("x-1.data/scripts/tool", "x")
        archive.writestr("x/__init__.py", "")
    assert [path for path, _ in unpacked(wheel)] == ["x/__init__.py"]


def test_a_tree_has_the_same_modes_and_times_whatever_the_umask(tmp_path):
    tree = {"a/b": File(b"x", 0o640), "a/c": Link("/there"), "d/e/f": File(b"y")}
    seen = []
    for number, mask in enumerate((0o077, 0o000)):
        before = os.umask(mask)
        try:
            write(tree, tmp_path / str(number), 1_700_000_000, {"a": 0o750})
        finally:
            os.umask(before)
        places = sorted((tmp_path / str(number)).rglob("*"))
        seen.append([(place.name, place.lstat().st_mode, place.lstat().st_mtime) for place in places])
    assert seen[0] == seen[1]
    assert {time for _, _, time in seen[0]} == {1_700_000_000}
    assert (tmp_path / "0" / "a").stat().st_mode & 0o777 == 0o750
