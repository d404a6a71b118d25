"""scripts/judgements turns quality databases, as their authors publish them, into tables that
`lpips-tf evaluate --judgements` reads.

The trees here are small ones in the published layouts. Their images are empty files, which recipes
do not open.
"""

import re
import runpy
import subprocess
import sys

import pytest
from checking import ROOT

from tfds_bapps.manifest_rows import read_rows

RECIPES = ROOT / "scripts" / "judgements"

TID2013 = {
    "mos_with_names.txt": "5.51429 I01_01_1.bmp\r\n5.56757 i01_01_2.bmp\r\n"
    "0.45946 I25_24_5.bmp\r\n",
    "reference_images/I01.BMP": "",
    "reference_images/i25.bmp": "",  # the only one in lower case
    "distorted_images/I01_01_1.BMP": "",
    "distorted_images/i01_01_2.bmp": "",
    "distorted_images/i25_24_5.bmp": "",
}
KADID10K = {
    "dmos.csv": "dist_img,ref_img,dmos,var\n"
    "I01_01_01.png,I01.png,4.57,0.496\nI01_25_05.png,I01.png,1.1,0.3\n",
    "images/I01.png": "",
    "images/I01_01_01.png": "",
    "images/I01_25_05.png": "",
}
PIPAL = {
    "Train_Label/A0001.txt": "A0001_00_00.bmp,1520.0648\nA0001_03_21.bmp,1357.5142\n",
    "Train_Label/A0248.txt": "A0248_06_26.bmp,1257.0600\n",
    "Train_Ref/A0001.bmp": "",
    "Train_Ref/A0248.bmp": "",
    "Distortion_1/A0001_00_00.bmp": "",
    "Distortion_1/A0001_03_21.bmp": "",
    "Distortion_4/A0248_06_26.bmp": "",
}
NIGHTS = {
    "data.csv": "id,left_vote,right_vote,votes,ref_path,left_path,right_path,prompt,split,"
    "is_imagenet\n"
    "0,1,0,8,ref/000/000.png,distort/000/000_0.png,distort/000/000_1.png,fox,test,True\n"
    '1,0,1,6,ref/000/001.png,distort/000/001_0.png,distort/000/001_1.png,"a, b",test,False\n'
    "2,0,1,5,ref/000/002.png,distort/000/002_0.png,distort/000/002_1.png,cat,test,True\n"
    "3,0,1,9,ref/099/003.png,distort/099/003_0.png,distort/099/003_1.png,dog,train,True\n",
} | {
    name: ""
    for number in ("000/000", "000/001", "099/003")  # not 002, which has too few votes
    for name in (f"ref/{number}.png", f"distort/{number}_0.png", f"distort/{number}_1.png")
}
PIEAPP_COLUMNS = "ref. image, distorted image A, distorted image B, "
PIEAPP = {
    "labels/train/ref_2_pairwise_labels.csv": PIEAPP_COLUMNS
    + "raw preference for A, processed preference for A\n"
    "ref_2.png,distort_2_blur_inter_1.png,distort_2_noise_inter_3.png,0.725,0.7\n"
    "ref_2.png,distort_2_noise_inter_3.png,distort_2_jpeg_intra_1.png,,0.881\n",
    "labels/train/ref_10_pairwise_labels.csv": PIEAPP_COLUMNS
    + "raw preference for A, processed preference for A\n"
    "ref_10.png,distort_10_blur_inter_1.png,distort_10_blur_inter_2.png,0,0.02\n",
    "labels/test/ref_161_pairwise_labels.csv": PIEAPP_COLUMNS + "preference for A\n"
    "ref_161.png,ref_161.png,distort_161_blur_1.png,0.975\n"
    "ref_161.png,distort_161_blur_1.png,distort_161_jpeg_1.png,0.25\n",
    "labels/test/ref_161_per_image_score.csv": "ref. image, distorted image, score\n",
    "reference_images/train/ref_2.png": "",
    "reference_images/train/ref_10.png": "",
    "reference_images/test/ref_161.png": "",
    "distorted_images/train/ref_2/distort_2_blur_inter_1.png": "",
    "distorted_images/train/ref_2/distort_2_noise_inter_3.png": "",
    "distorted_images/train/ref_2/distort_2_jpeg_intra_1.png": "",
    "distorted_images/train/ref_10/distort_10_blur_inter_1.png": "",
    "distorted_images/train/ref_10/distort_10_blur_inter_2.png": "",
    "distorted_images/test/ref_161/distort_161_blur_1.png": "",
    "distorted_images/test/ref_161/distort_161_jpeg_1.png": "",
}
TREES = {
    "tid2013": TID2013,
    "kadid10k": KADID10K,
    "pipal": PIPAL,
    "nights": NIGHTS,
    "pieapp": PIEAPP,
}
SPLITS = {"nights": ("--split", "test"), "pieapp": ("--split", "train")}


def write_tree(folder, contents):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture
def recipe(monkeypatch, capsys):
    """`recipe(name, *arguments)`: exit code, standard output and error of a recipe's script."""
    monkeypatch.setattr(sys, "path", [str(RECIPES), *sys.path])

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        finally:
            sys.modules.pop("tables", None)
        return (code, *capsys.readouterr())

    return run


def table(path):
    """The kind of a table, and its rows as tuples of text. All of its images exist."""
    kind, rows = read_rows(path)
    assert all((path.parent / image).is_file() for row in rows for image in row.images.values())
    return kind, tuple(rows[0].columns), [tuple(row.columns.values()) for row in rows]


def test_tid2013_gives_mean_opinions_whatever_the_case_of_names(recipe, tmp_path):
    write_tree(tmp_path, TID2013)
    path = tmp_path / "judgements.csv"
    assert recipe("tid2013", tmp_path) == (0, f"{path}: 3 judgements\n", "")
    one, last = "reference_images/I01.BMP", "reference_images/i25.bmp"
    noise, sampling = "additive Gaussian noise", "sparse sampling and reconstruction"
    assert table(path) == (
        "opinions",
        ("reference", "image", "opinion", "distortion", "level"),
        [
            (one, "distorted_images/I01_01_1.BMP", "5.51429", noise, "1"),
            (one, "distorted_images/i01_01_2.bmp", "5.56757", noise, "2"),
            (last, "distorted_images/i25_24_5.bmp", "0.45946", sampling, "5"),
        ],
    )


def test_kadid10k_gives_the_column_dmos(recipe, tmp_path):
    write_tree(tmp_path, KADID10K)
    assert recipe("kadid10k", tmp_path)[0] == 0
    assert table(tmp_path / "judgements.csv") == (
        "opinions",
        ("reference", "image", "opinion", "distortion", "level"),
        [
            ("images/I01.png", "images/I01_01_01.png", "4.57", "Gaussian blur", "1"),
            ("images/I01.png", "images/I01_25_05.png", "1.1", "contrast change", "5"),
        ],
    )


def test_pipal_gives_elo_ratings_and_numbers_of_distortions(recipe, tmp_path):
    write_tree(tmp_path, PIPAL)
    assert recipe("pipal", tmp_path)[0] == 0
    one, last = "Train_Ref/A0001.bmp", "Train_Ref/A0248.bmp"
    assert table(tmp_path / "judgements.csv") == (
        "opinions",
        ("reference", "image", "opinion", "distortion", "type"),
        [
            (one, "Distortion_1/A0001_00_00.bmp", "1520.0648", "00", "00_00"),
            (one, "Distortion_1/A0001_03_21.bmp", "1357.5142", "03", "03_21"),
            (last, "Distortion_4/A0248_06_26.bmp", "1257.0600", "06", "06_26"),
        ],
    )


def test_pipal_may_have_the_names_of_the_authors_readme(recipe, tmp_path):
    renamed = {
        name.replace("Train_Label", "MOS_Scores_train")
        .replace("Train_Ref", "Reference_train")
        .replace("Distortion_", "Distortion/Distortion_"): content
        for name, content in PIPAL.items()
    }
    write_tree(tmp_path, renamed)
    assert recipe("pipal", tmp_path)[0] == 0
    rows = table(tmp_path / "judgements.csv")[2]
    assert rows[0][:2] == ("Reference_train/A0001.bmp", "Distortion/Distortion_1/A0001_00_00.bmp")
    assert rows[2][:2] == ("Reference_train/A0248.bmp", "Distortion/Distortion_4/A0248_06_26.bmp")


def test_nights_gives_the_votes_for_the_right_image_of_a_split(recipe, tmp_path):
    """Without triplets that have fewer than six votes."""
    write_tree(tmp_path, NIGHTS)
    for split in ("test", "train"):
        assert recipe("nights", tmp_path, "--split", split)[0] == 0

    def images(number):
        return (f"ref/{number}.png", f"distort/{number}_0.png", f"distort/{number}_1.png")

    columns = ("reference", "image0", "image1", "judge", "votes", "is_imagenet")
    assert table(tmp_path / "judgements-test.csv") == (
        "2afc",
        columns,
        [(*images("000/000"), "0", "8", "true"), (*images("000/001"), "1", "6", "false")],
    )
    assert table(tmp_path / "judgements-train.csv") == (
        "2afc",
        columns,
        [(*images("099/003"), "1", "9", "true")],
    )


def test_pieapp_gives_the_preference_for_a_which_is_image1(recipe, tmp_path):
    """Without pairs that nobody was asked about."""
    write_tree(tmp_path, PIEAPP)
    assert recipe("pieapp", tmp_path, "--split", "train")[0] == 0
    two, ten = "distorted_images/train/ref_2/", "distorted_images/train/ref_10/"
    assert table(tmp_path / "judgements-train.csv") == (
        "2afc",
        ("reference", "image0", "image1", "judge"),
        [
            (
                "reference_images/train/ref_2.png",
                f"{two}distort_2_noise_inter_3.png",
                f"{two}distort_2_blur_inter_1.png",
                "0.725",
            ),
            (
                "reference_images/train/ref_10.png",
                f"{ten}distort_10_blur_inter_2.png",
                f"{ten}distort_10_blur_inter_1.png",
                "0",
            ),
        ],
    )


def test_pieapp_estimated_gives_all_pairs_with_the_authors_estimates(recipe, tmp_path):
    write_tree(tmp_path, PIEAPP)
    assert recipe("pieapp", tmp_path, "--split", "train", "--estimated")[0] == 0
    rows = table(tmp_path / "judgements-train-estimated.csv")[2]
    assert [row[3] for row in rows] == ["0.7", "0.881", "0.02"]
    code, _, message = recipe("pieapp", tmp_path, "--split", "test", "--estimated")
    assert (code, message.count("\n")) == (2, 1)
    assert "Expected --estimated with --split train or val" in message


def test_pieapp_leaves_out_pairs_with_the_reference_itself(recipe, tmp_path):
    write_tree(tmp_path, PIEAPP)
    assert recipe("pieapp", tmp_path, "--split", "test")[0] == 0
    folder = "distorted_images/test/ref_161/"
    assert table(tmp_path / "judgements-test.csv")[2] == [
        (
            "reference_images/test/ref_161.png",
            f"{folder}distort_161_jpeg_1.png",
            f"{folder}distort_161_blur_1.png",
            "0.25",
        )
    ]


DAMAGED = [
    # A file of the tree, its content (None for no file), and the message.
    ("tid2013", "mos_with_names.txt", None, r"Cannot read .*mos_with_names\.txt: No such file"),
    ("tid2013", "mos_with_names.txt", "\n", "Expected judgements. Received: .* without any"),
    ("tid2013", "mos_with_names.txt", b"5.5 \xff", "Expected text in UTF-8"),
    ("tid2013", "mos_with_names.txt", "5.5 i01_01_1.bmp\n\n5.5", "txt, line 3: '5.5'"),
    ("tid2013", "mos_with_names.txt", "5.5 i01_25_1.bmp", "Expected SCORE iRR_DD_L.bmp.*line 1"),
    ("tid2013", "mos_with_names.txt", "5.5 ../i01_01_1.bmp", "Expected SCORE iRR_DD_L.bmp"),
    ("tid2013", "mos_with_names.txt", "9.1 i01_01_1.bmp", "a number from 0 to 9.*line 1: '9.1'"),
    ("tid2013", "mos_with_names.txt", "nan i01_01_1.bmp", "a number from 0 to 9.*line 1: 'nan'"),
    (
        "tid2013",
        "mos_with_names.txt",
        "5 I01_01_1.bmp\n5 i01_01_2.bmp\n5 i01_01_1.bmp",
        r"each judgement once\. Received: distorted_images/I01_01_1\.BMP in .*line 1.*line 3",
    ),
    ("tid2013", "reference_images/i25.bmp", None, r"Missing: reference_images/i25\.bmp$"),
    ("tid2013", "distorted_images/i01_01_2.bmp", None, "Missing: distorted_images/i01_01_2.bmp$"),
    ("kadid10k", "dmos.csv", None, r"Cannot read .*dmos\.csv"),
    ("kadid10k", "dmos.csv", "", "Expected the columns dist_img, ref_img, dmos. Received"),
    ("kadid10k", "dmos.csv", "dist_img,ref_img,dmos,var\n", "without any"),
    (
        "kadid10k",
        "dmos.csv",
        "dist_img,ref_img,mos\na,b,3",
        "with dist_img, ref_img, mos$",
    ),
    ("kadid10k", "dmos.csv", "dist_img,ref_img,dmos\na,b", r"Expected 3 fields\. Received: 2.*2"),
    ("kadid10k", "dmos.csv", 'dist_img,ref_img,dmos\n"a,b', "Expected CSV"),
    (
        "kadid10k",
        "dmos.csv",
        "dist_img,ref_img,dmos\nI01_01_06.png,I01.png,3",
        "Expected an image IRR_DD_LL.png.*line 2: 'I01_01_06.png'",
    ),
    (
        "kadid10k",
        "dmos.csv",
        "dist_img,ref_img,dmos\nI01_01_01.png,I02.png,3",
        "Expected the reference I01.png of I01_01_01.png.*line 2: 'I02.png'",
    ),
    (
        "kadid10k",
        "dmos.csv",
        "dist_img,ref_img,dmos\nI01_01_01.png,I01.png,0.9",
        "a number from 1 to 5.*line 2: '0.9'",
    ),
    ("kadid10k", "images/I01.png", None, r"Missing: images/I01\.png$"),
    ("pipal", "Train_Label/A0248.txt", None, r"Cannot read .*A0248\.txt"),
    ("pipal", "Train_Label/A0248.txt", "A0248_06_26.bmp", "Expected A0248_CC_TT.bmp,SCORE.*line 1"),
    ("pipal", "Train_Label/A0248.txt", "A0001_00_00.bmp,1", "Expected A0248_CC_TT.bmp,SCORE"),
    ("pipal", "Train_Label/A0248.txt", "A0248_06_26.bmp,inf", "Expected a number. .*: 'inf'"),
    ("pipal", "Distortion_4/A0248_06_26.bmp", None, r"Missing: Distortion_\*/A0248_06_26\.bmp$"),
    ("nights", "data.csv", None, r"Cannot read .*data\.csv"),
    ("nights", "data.csv", "id,p\n0,1", "Expected the columns left_vote, right_vote, votes"),
    ("nights", "data.csv", NIGHTS["data.csv"].replace("test,True", "all,True"), "line 2: 'all'"),
    ("nights", "data.csv", NIGHTS["data.csv"].replace("0,1,0,8", "0,1,1,8"), "line 2: 1, 1$"),
    ("nights", "data.csv", NIGHTS["data.csv"].replace("0,1,0,8", "0,5,3,8"), "from 0 to 1.*: '5'"),
    ("nights", "data.csv", NIGHTS["data.csv"].replace("0,1,0,8", "0,1,0,x"), "a number.*: 'x'"),
    (
        "nights",
        "data.csv",
        NIGHTS["data.csv"].replace("test,True", "test,1"),
        "as true or false",
    ),
    (
        "nights",
        "data.csv",
        NIGHTS["data.csv"].replace("ref/000/000.png", "../000.png"),
        r"Expected a path within .*line 2: '\.\./000\.png'",
    ),
    (
        "nights",
        "data.csv",
        NIGHTS["data.csv"].replace("ref/000/000.png", "/etc/passwd"),
        "Expected a path within .*line 2: '/etc/passwd'",
    ),
    ("nights", "distort/000/001_1.png", None, r"Missing: distort/000/001_1\.png$"),
    ("pieapp", "labels/train/ref_10_pairwise_labels.csv", None, "Cannot read .*ref_10_pairwise"),
    (
        "pieapp",
        "labels/train/ref_10_pairwise_labels.csv",
        PIEAPP_COLUMNS + "preference for A\n",
        "Expected the columns .*raw preference for A. Received: .*ref_10_pairwise",
    ),
    (
        "pieapp",
        "labels/train/ref_10_pairwise_labels.csv",
        PIEAPP["labels/train/ref_2_pairwise_labels.csv"],
        r"Expected the reference ref_10\.png\. .*line 2: 'ref_2\.png'",
    ),
    (
        "pieapp",
        "labels/train/ref_2_pairwise_labels.csv",
        PIEAPP["labels/train/ref_2_pairwise_labels.csv"].replace("0.725", "72.5"),
        "a number from 0 to 1.*line 2: '72.5'",
    ),
    (
        "pieapp",
        "distorted_images/train/ref_2/distort_2_blur_inter_1.png",
        None,
        r"Missing: distorted_images/train/ref_2/distort_2_blur_inter_1\.png$",
    ),
]


@pytest.mark.parametrize(("name", "damaged", "content", "message"), DAMAGED)
def test_what_does_not_fit_the_layout_is_refused(recipe, tmp_path, name, damaged, content, message):
    """In one line, and a table that is there stays as it is."""
    tree = TREES[name] | {damaged: content}
    write_tree(tmp_path, {k: v for k, v in tree.items() if v is not None})
    split = SPLITS.get(name, ())
    path = tmp_path / (f"judgements-{split[1]}.csv" if split else "judgements.csv")
    path.write_text("an earlier table")
    before = set(tmp_path.iterdir())
    code, out, error = recipe(name, tmp_path, *split)
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert error.startswith(f"{name}.py: ")
    assert re.search(message, error.strip()), error
    assert path.read_text() == "an earlier table"
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", TREES)
def test_missing_images_are_counted_and_missing_folders_are_named(recipe, tmp_path, name):
    split = SPLITS.get(name, ())
    labels = {k: v for k, v in TREES[name].items() if v}
    write_tree(tmp_path, labels)
    code, _, error = recipe(name, tmp_path, *split)
    assert (code, error.count("\n")) == (1, 1)
    expected = {
        "tid2013": "Expected images * in",
        "kadid10k": "Missing: images/I01.png and 2 more",
        "pipal": "Expected the folder Train_Ref or Reference_train in",
        "nights": "Missing: ref/000/000.png and 5 more",
        "pieapp": "Expected images ref_*.png in",
    }
    assert expected[name] in error
    code, _, error = recipe(name, tmp_path / "none", *split)
    assert (code, error) == (
        1,
        f"{name}.py: Expected the unpacked database. Received: {tmp_path / 'none'}\n",
    )


def test_output_names_another_file_of_the_folder_and_may_exist(recipe, tmp_path, monkeypatch):
    write_tree(tmp_path / "kadid10k", KADID10K)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kadid10k" / "mine.csv").write_text("an earlier table")
    code, out, _ = recipe("kadid10k", "kadid10k", "--output", "kadid10k/mine.csv")
    assert (code, out) == (0, "kadid10k/mine.csv: 2 judgements\n")
    assert len(table(tmp_path / "kadid10k" / "mine.csv")[2]) == 2
    assert not (tmp_path / "kadid10k" / "judgements.csv").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("kadid10k/dmos.csv", "Expected --output as a file that is not read"),
        ("kadid10k/link.csv", "Expected --output as a file that is not read"),
        ("table.csv", "Expected --output in kadid10k, where its paths start. Received: table.csv"),
        ("kadid10k/images/table.csv", "Expected --output in kadid10k"),
        ("kadid10k/table.txt", r"Expected --output to end in \.csv"),
    ],
)
def test_outputs_elsewhere_and_files_that_are_read_are_wrong_usage(
    recipe, tmp_path, monkeypatch, output, message
):
    write_tree(tmp_path / "kadid10k", KADID10K)
    (tmp_path / "kadid10k" / "link.csv").symlink_to("dmos.csv")
    monkeypatch.chdir(tmp_path)
    code, _, error = recipe("kadid10k", "kadid10k", "--output", output)
    assert (code, error.count("\n")) == (2, 1)
    assert re.search(message, error), error
    assert (tmp_path / "kadid10k" / "dmos.csv").read_text() == KADID10K["dmos.csv"]


def test_a_table_that_cannot_be_written_leaves_nothing_behind(recipe, tmp_path):
    write_tree(tmp_path, KADID10K)
    (tmp_path / "judgements.csv").mkdir()
    before = set(tmp_path.iterdir())
    code, _, error = recipe("kadid10k", tmp_path)
    assert (code, error.count("\n")) == (1, 1)
    assert f"Cannot write {tmp_path / 'judgements.csv'}" in error
    assert set(tmp_path.iterdir()) == before


def test_a_split_is_to_be_given(recipe, tmp_path):
    for name in SPLITS:
        code, _, error = recipe(name, tmp_path)
        assert code == 2
        assert "required: --split" in error


def test_recipes_are_scripts_of_python_alone(tmp_path):
    """They start without the library and what it needs."""
    write_tree(tmp_path, KADID10K)
    # -S leaves out what is installed, and -E what the environment adds.
    command = [sys.executable, "-E", "-S", str(RECIPES / "kadid10k.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(table(tmp_path / "judgements.csv")[2]) == 2
