"""Numba's kernels find a place where neither the package nor the home can be written."""

from __future__ import annotations

import os
import stat

from bonelift import kernel_cache


def test_a_place_of_this_user_alone_is_named_only_where_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.delenv(kernel_cache.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: "home" in str(folder))
    kernel_cache.provide_cache_place()
    assert kernel_cache.VARIABLE not in os.environ
    monkeypatch.setattr(kernel_cache, "_writable", lambda _: False)
    kernel_cache.provide_cache_place()
    place = tmp_path / f"bonelift-kernels-{os.getuid()}"
    assert os.environ.pop(kernel_cache.VARIABLE) == str(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_link_that_somebody_laid_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"bonelift-kernels-{os.getuid()}").symlink_to(tmp_path / "theirs")
    place = kernel_cache._own_folder()
    assert place.parent == tmp_path
    assert not place.is_symlink()
