"""The commands that look for similar images: `index`, `search` and `duplicates`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.console.list_options import ListOptions, Recursive
from lpips_tf_cli.console.metric_options import MetricOptions, Network
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import Output, ResizeAll, SkipErrors, Srgb, checked_resizing
from lpips_tf_cli.console.text import counted, printable

if TYPE_CHECKING:
    from lpips_tf._support.resizing import Resizing
    from lpips_tf_cli.reading.image_files import ImageFiles

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder of images.", show_default=False)
]
SIDE = 64
Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        help=f"Resize images to squares of this side, in pixels. By default {SIDE}.",
        show_default=False,
    ),
]
Factory = Annotated[
    str, typer.Option(help="FAISS index factory string, such as Flat, PCA64,PQ16 or IVF256,Flat.")
]
Dimensions = Annotated[
    int, typer.Option(min=1, help="Dimensions of the random projection that FAISS indexes.")
]
Candidates = Annotated[
    int, typer.Option(min=1, help="Candidates from FAISS whose exact distances are computed.")
]


@with_option_groups
def index(
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="INDEX.h5", help="The index.", show_default=False),
    ],
    options: MetricOptions,
    recursive: Recursive = False,
    size: Size = None,
    resize: ResizeAll = None,
    factory: Factory = "Flat",
    dimensions: Dimensions = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random projection.")] = 0,
    srgb: Srgb = False,
    skip_errors: SkipErrors = False,
) -> int:
    """Indexes the images of a folder for `search`."""
    outputs.check_output(output, (".h5",))
    resizing = _checked_resizing(resize, size)
    with outputs.whole_file(output) as temporary:
        with extra("index", "neighbors"):
            from lpips_tf_cli.distances import image_index
            from lpips_tf_cli.reading import image_files, listing
        metric = options.load()
        names = listing.image_names(folder, 1, ListOptions(recursive))
        files = image_files.ImageFiles(srgb, skip_errors, resizing)
        built = image_index.index_images(
            metric, folder, names, files, size or SIDE, factory, dimensions, seed
        )
        image_index.save(built, temporary or output, files)
    print(f"{printable(output)}: {counted(len(built.names), 'image')}{_errors(files)}")
    return int(bool(files.errors))


def search(
    index_file: Annotated[
        Path,
        typer.Argument(
            metavar="INDEX.h5",
            help="Index to search, written by `lpips-tf index`.",
            show_default=False,
        ),
    ],
    queries: Annotated[
        list[Path],
        typer.Argument(metavar="QUERY...", help="Query images.", show_default=False),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of results for each query.")] = 10,
    candidates: Candidates = 100,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: query, image and distance of each.")
    ] = False,
    net: Annotated[
        Network | None,
        typer.Option(
            help="Require an index of this network. By default any is taken.", show_default=False
        ),
    ] = None,
    srgb: Srgb = False,
) -> None:
    """Prints the indexed images that are nearest to each query, with their distances."""
    with extra("search", "neighbors"):
        from lpips_tf_cli.distances import image_index
    rows = image_index.find_nearest(index_file, queries, k, candidates, net, srgb)
    if json:
        outputs.write_json(sys.stdout, ("query", "image", "distance"), rows)
    else:
        for query, name, distance in rows:
            print(f"{printable(query)}, {printable(name)}: {distance:.3f}")


@with_option_groups
def duplicates(
    folder: Folder,
    options: MetricOptions,
    recursive: Recursive = False,
    threshold: Annotated[
        float, typer.Option(min=0, help="Largest distance between two images of a pair.")
    ] = 0.05,
    output: Output = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Also draw the groups, one per row.", show_default=False
        ),
    ] = None,
    size: Size = None,
    resize: ResizeAll = None,
    srgb: Srgb = False,
    skip_errors: SkipErrors = False,
) -> int:
    """Prints groups of near-duplicates: images linked by distances within a threshold."""
    resizing = _checked_resizing(resize, size)
    outputs.check_output(output)
    outputs.check_output(sheet, (".png", ".jpg", ".webp"), "--sheet")
    with outputs.output_file(output) as write, outputs.whole_file(sheet) as drawn:
        with extra("duplicates", "neighbors"):
            from lpips_tf_cli.distances import image_index
            from lpips_tf_cli.reading import image_files, listing
            from lpips_tf_cli.reports.contact_sheets import write_contact_sheet
        metric = options.load()
        names = listing.image_names(folder, 1, ListOptions(recursive))
        outputs.check_no_input(sheet, (folder / name for name in names), "--sheet")
        files = image_files.ImageFiles(srgb, skip_errors, resizing)
        gallery = image_index.index_images(metric, folder, names, files, size or SIDE)
        pairs, groups = image_index.find_duplicates(gallery, threshold)
        if skip_errors:
            rows: list[tuple[str | float | None, ...]] = [(*pair, None) for pair in pairs]
            rows += [(names[i], None, None, error) for i, error in files.errors.items()]
            write(("image0", "image1", "distance", "error"), rows)
        else:
            write(("image0", "image1", "distance"), pairs)
        if drawn is not None:
            write_contact_sheet(drawn, folder, groups, files)
    for group in groups:
        outputs.print_summary(", ".join(map(printable, group)), output)
    count = counted(sum(map(len, groups)), "image")
    found = f"{counted(len(groups), 'group')} of {count}, {counted(len(pairs), 'pair')}"
    outputs.print_summary(f"{found}{_errors(files)}", output)
    return int(bool(files.errors))


def _checked_resizing(resize: str | None, side: int | None) -> Resizing | None:
    if resize is not None and side is not None:
        raise typer.BadParameter("Expected no --size with it", param_hint="--resize")
    return checked_resizing(resize, reference=False)


def _errors(files: ImageFiles) -> str:
    return f", {counted(len(files.errors), 'error')}" if files.errors else ""
