"""Limits of distances in `pair`, `dirs` and `video`: exit code 3."""

import pytest


def test_pairs_above_a_limit_are_named(run, folder, golden):
    paths = [folder / "d0/1.png", folder / "d1/1.png", folder / "d1/2.png", folder / "d0/1.png"]
    code, out, err = run("pair", *paths, "--fail-above", "0.2")
    assert (code, len(out.splitlines())) == (3, 3)
    lines = err.splitlines()
    assert [str(paths[2]) in lines[0], str(paths[1]) in lines[1], len(lines)] == [True, True, 2]
    distance = golden["alex/0.1/lpips/small"][1]
    assert f"above 0.2: {paths[1]} ({distance:.5f})" in lines[1]
    code, _, err = run("pair", *paths, "--fail-above", "2", "--fail-mean-above", "2")
    assert (code, err) == (0, "")
    assert run("pair", *paths, "--fail-mean-above", "0.01")[0] == 3


def test_folders_above_a_limit_are_named(run, folder, golden):
    distances = golden["alex/0.1/lpips/small"]
    limit = sorted(distances)[-2]
    code, out, err = run("dirs", folder / "d0", folder / "d1", "--fail-above", limit + 1e-4)
    assert (code, "(6 pairs)" in out) == (3, True)
    (line,) = err.splitlines()
    assert f"{distances.argmax()}.png ({distances.max():.5f})" in line
    several = ("dirs", folder / "d0", folder / "d1", folder / "d0/../d0", "--fail-mean-above")
    code, _, err = run(*several, "0.01")
    assert (code, err.splitlines()[0].startswith(f"lpips-tf: mean of {folder}/d1")) == (3, True)
    assert run(*several, distances.mean() + 1e-4)[0] == 0


def test_errors_do_not_hide_what_is_above(run, folder):
    (folder / "d1/0.png").write_bytes(b"")
    options = ("--skip-errors", "--fail-above")
    assert run("dirs", folder / "d0", folder / "d1", *options, "0")[0] == 3
    assert run("dirs", folder / "d0", folder / "d1", *options, "2")[0] == 1


@pytest.mark.parametrize("limit", ["nan", "inf", "-0.1", "much"])
def test_a_limit_is_a_distance(run, folder, limit):
    code, out, err = run("pair", folder / "d0/1.png", folder / "d1/1.png", "--fail-above", limit)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert limit in err
