"""Every snippet and command of README and docs/ runs, and prints what stands there; every link
leads somewhere.
"""

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import options
import pytest
import torch_files
from benchmarks.synthetic_bapps import write_photographs
from checking import ROOT
from PIL import Image
from video_files import moving, write_video

import lpips_tf.export
from lpips_tf.weights.torch_checkpoints import HEAD_CHANNELS
from lpips_tf_cli import main
from tfds_bapps import tree

PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
SITE = ROOT / "build" / "docs"
# What `make` and `pip` do is tried by .ci/run, which consists of these commands.
SETUP = {
    "make demo", "make test", "make web",
    "python -m http.server -d build/web", # tests/docs/test_web.py serves it so
    "python scripts/download_bapps.py --val-only bapps", # tests/scripts/test_download_bapps.py
    "pip install .", "pip install --no-deps . && pip install keras jax h5py pillow typer rich",
}  # fmt: skip


def blocks(page, language):
    text = TEXTS[page]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def pages_with(language):
    return [page for page in PAGES if blocks(page, language)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with what the commands name."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for folder, name in (("results", "noisy"), ("originals", "reference")):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / f"examples/images/{name}.png", tmp_path / folder / "cat.png")
    for folder, name in (("results", "image"), ("originals", "reference")):
        image = Image.open(tmp_path / folder / "cat.png").convert("RGB")
        image.save(tmp_path / f"{name}.tif")
        video = "result" if name == "image" else name
        write_video(tmp_path / f"{video}.mkv", moving(np.asarray(image), 12, 128), crf=None)
    (tmp_path / "compressed").mkdir()
    shutil.copy(ROOT / "examples/images/compressed.png", tmp_path / "compressed/cat.png")
    for folder, name in (("one", "compressed"), ("two", "blurred")):
        (tmp_path / "samples" / folder).mkdir(parents=True)
        for image in ("reference", name):
            shutil.copy(ROOT / f"examples/images/{image}.png", tmp_path / "samples" / folder)
    (tmp_path / "manifest.csv").write_text(
        "reference,image\noriginals/cat.png,results/cat.png\noriginals/cat.png,none.png\n"
    )
    heads = {
        f"lin{i}.model.1.weight": np.ones((1, c, 1, 1), "f4")
        for i, c in enumerate(HEAD_CHANNELS["alex"])
    }
    torch_files.save(tmp_path / "alex.pth", heads)
    for split in tree.splits("2afc"):
        write_photographs(tmp_path / "bapps", "2afc", split, 3)
    folder = "bapps/2afc/val/cnn"
    (tmp_path / "study.csv").write_text(
        "reference,image0,image1,judge\n"
        + "".join(
            f"{folder}/ref/{i:06}.png,{folder}/p0/{i:06}.png,{folder}/p1/{i:06}.png,0.{i}\n"
            for i in range(3)
        )
    )
    (tmp_path / "opinions.csv").write_text(
        "reference,image,opinion,distortion\n"
        + "".join(
            f"{folder}/ref/{i:06}.png,{folder}/{part}/{i:06}.png,{5 - i - j},{part}\n"
            for i in range(3)
            for j, part in enumerate(("ref", "p0", "p1"))
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path / "home"))
    return tmp_path


def run_python(page):
    """Runs a page's snippets, one after the other; the names that they define."""
    names: dict = {}
    for code in snippets(page):
        exec(compile(code, page, "exec"), names)
    return names


def snippets(page):
    """Those that run without a server; the others: tests/lpips_tf/export/test_serving.py."""
    return [code for code in blocks(page, "python") if "grpc" not in code]


def assert_same_text(printed, expected):
    """The same words, and the same numbers but for rounding, which differs between processors."""
    number = r"\d+\.\d+"
    assert re.sub(number, "#", printed) == re.sub(number, "#", expected)
    received = [float(n) for n in re.findall(number, printed)]
    assert received == pytest.approx([float(n) for n in re.findall(number, expected)], abs=1.1e-3)


def commented(page):
    """What a page's comments say that `print` shows."""
    text = "\n".join(snippets(page))
    return re.findall(r"^print\(.*# .*?(\[[\d. ]+\])$", text, re.MULTILINE)


# Those of docs/backends.md: tests/backends/test_page.py.
TRIED_BELOW = (
    "README.md",
    "docs/backends.md",
    "docs/bapps.md",
    "docs/own-judgements.md",
    "docs/training.md",
)


@pytest.mark.parametrize("page", [p for p in pages_with("python") if p not in TRIED_BELOW])
@pytest.mark.slow
def test_snippets_of_a_page_run_and_print_what_stands_there(workplace, capsys, page):
    if page == "docs/export.md":
        lpips_tf.export.export_saved_model(lpips_tf.LPIPS(), "served", warmup=False)
    run_python(page)
    expected = commented(page)
    printed = re.findall(r"\[[\d. ]+\]", capsys.readouterr().out)
    assert_same_text(" ".join(printed), " ".join(expected))


def test_snippets_of_the_readme_compute_what_it_says(workplace, capsys):
    run_python("README.md")
    assert_same_text(capsys.readouterr().out, "[0.1731537]\n")
    assert commented("README.md") == ["[0.1731537]"]


@pytest.mark.slow
def test_snippets_of_the_judgement_pages_run_on_data(workplace, capsys):
    names = run_python("docs/bapps.md")
    score, *_ = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[01]\.\d{3} \([01]\.\d+, [01]\.\d+\)", score)
    assert [batch["ref"].shape for batch in names["triplets"]] == [(3, 64, 64, 3)]
    run_python("docs/own-judgements.md")
    number = r"-?[01]\.\d{3}"
    assert re.fullmatch(f"{number}, {number} to {number}", capsys.readouterr().out.strip())
    run_python("docs/training.md")
    assert (workplace / "heads.h5").exists()


def test_examples_in_docstrings_run():
    rng = np.random.default_rng(0)
    image = keras.Input((32, 32, 3))
    triplets = rng.integers(0, 256, (3, 2, 64, 64, 3), "uint8")
    given = {
        "lpips_tf": lpips_tf, "references": triplets[0], "images": triplets[1],
        "model": keras.Model(image, keras.layers.Conv2D(3, 1)(image)),
        "ref": triplets[0], "p0": triplets[1], "p1": triplets[2], "judge": np.ones(2, "float32"),
    }  # fmt: skip
    examples = 0
    for module in (lpips_tf.metric, lpips_tf.training):
        for test in doctest.DocTestFinder(exclude_empty=True).find(module):
            names = vars(module) | given
            for example in test.examples:  # what they show is said in words
                exec(example.source, names)
                examples += 1
    assert examples == 6


def printed_by(command, run_program):
    """What a command line prints. Ours run in this process, which has loaded TensorFlow."""
    command, asked = command.removesuffix("; echo $?"), command.endswith("; echo $?")
    program, *arguments = shlex.split(command)
    if program != "lpips-tf":
        assert program == "python"
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout
    output = arguments.pop() if ">" in arguments else None
    if output:
        assert arguments.pop() == ">"
    code, printed, err = run_program(main.main, *arguments)
    if asked:
        printed += f"{code}\n"
    else:
        assert code == int(", 1 error" in printed), err
    if output:
        Path(output).write_text(printed)
    return "" if output else printed


@pytest.mark.parametrize("page", pages_with("console"))
@pytest.mark.slow
def test_commands_of_a_page_print_what_stands_there(workplace, run_program, page):
    for text in blocks(page, "console"):
        for call in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, expected = call.split("\n", 1)
            printed = printed_by(command, run_program)
            if "weights_conversion" in command:  # what it says of PyTorch depends on the machine
                printed = printed.splitlines(keepends=True)[-1]
            if "lpips-tf train" in command:  # on other data
                printed, expected = (re.sub(r"\d+\.\d%", "#", text) for text in (printed, expected))
            assert_same_text(printed, expected)


def test_setup_commands_are_those_of_the_makefile_and_ci():
    lines = {
        re.sub(r"\s+#.*", "", line)
        for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()
    }  # fmt: skip
    assert lines == SETUP
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in lines if line.startswith("make")} <= targets


def test_snippets_have_a_language_that_is_run():
    languages = {name for text in TEXTS.values() for name in re.findall(r"^ *```(.+)$", text, re.M)}
    assert languages == {"python", "console", "sh", "bash", "json", "bibtex", "csv", "text"}
    assert pages_with("json") == ["docs/export.md"]  # tests/lpips_tf/export/test_serving.py
    assert pages_with("bash") == ["docs/beam.md", "docs/export.md"]  # clusters: test_score.py


def anchors(text):
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    """As they are read in the repository; `make docs` checks those of the site."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[page]):
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), target
        if anchor and name != "performance.md":  # which includes BENCHMARKS.md
            assert anchor in anchors(file.read_text()), target


def test_the_page_of_options_is_the_help():
    """If not: python scripts/docs/options.py."""
    assert options.PAGE.read_text() == options.page()


def test_all_pages_are_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    assert {f"docs/{name}" for name in re.findall(r"[\w/-]+\.md", navigation)} == {*PAGES[1:]}


@pytest.mark.skipif(not SITE.is_dir() and "CI" not in os.environ, reason="needs `make docs`")
def test_the_site_loads_nothing_from_elsewhere():
    pages = list(SITE.rglob("*.html"))
    assert len(pages) > len(PAGES) - 1
    for page in pages:
        loaded = re.findall(r'<(?:script|link|img)\b[^>]*(?:src|href)="([^"]+)"', page.read_text())
        assert loaded
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
    assert "<math" in (SITE / "how-it-works.html").read_text()
