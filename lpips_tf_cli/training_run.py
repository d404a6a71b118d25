"""The folder of a training: what it was asked for, what it reached, and where it goes on.

config.json               options, data sets, versions
history.jsonl             a line for each epoch
checkpoints/last.keras    model and optimiser after the last whole epoch
checkpoints/best.keras    after the epoch with the highest agreement
tensorboard/              logs
learning_curve.png, heads.h5, backbone.h5    at the end

Each file is written whole or not at all, and `last.keras` after the others of its epoch: it says
how far the training is.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import keras

from lpips_tf.files import written_whole

LAST = Path("checkpoints") / "last.keras"
TEMPORARY = r"\.(config|history|last|best|learning_curve|heads|backbone)-[a-z0-9_]+\.\w+"


class Run:
    """A training's folder.

    Args:
        folder: is made if there is none.
        config: with "options" and "data", which a run that is resumed must have in common with its
            beginning, and whatever else is worth knowing.
        resume: go on with the run in the folder, if there is one.

    Raises:
        ValueError: the folder holds something else, or another run.
        OSError: it cannot be written to.
    """

    def __init__(self, folder: Path, config: dict[str, Any], resume: bool):
        self.folder = folder
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"Expected a folder for the run. Received a file: {folder}")
        if self._begun():
            if not resume:
                raise ValueError(
                    f"Expected an empty folder. Received: {folder} with a run. --resume goes on "
                    "with it"
                )
            _check_same(folder / "config.json", config)
            for path in folder.rglob(".*-*"):  # what `written_whole` left when it was killed
                if re.fullmatch(TEMPORARY, path.name):
                    path.unlink()
        else:
            if folder.exists() and any(
                not re.fullmatch(TEMPORARY, path.name) for path in folder.iterdir()
            ):
                raise ValueError(
                    f"Expected an empty folder, or one with a run. Received: {folder} with other "
                    "files"
                )
            self._begin(config)
        self.history = self._read_history()

    def _begun(self) -> bool:
        return (self.folder / "config.json").exists()

    def _begin(self, config: dict[str, Any]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"Cannot write {self.folder}: {error.strerror}") from error
        self._write("config.json", json.dumps(config, indent=2) + "\n")

    @property
    def last(self) -> Path:
        return self.folder / LAST

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best.keras"

    @property
    def logs(self) -> Path:
        return self.folder / "tensorboard"

    def resume_from(self, epoch: int) -> None:
        """Forgets epochs after the `epoch`-th, which were not finished."""
        self.history = self.history[:epoch]

    def save(self, model: keras.Model, record: dict[str, Any]) -> None:
        """Keeps a finished epoch.

        Args:
            record: its line in the history, with "two_afc" or "val_two_afc".

        Raises:
            ValueError: the loss is not finite; the checkpoint of the epoch before is kept.
            OSError: something cannot be written; that is kept then too.
        """
        if not math.isfinite(record["loss"]):
            raise ValueError(
                f"Expected a finite loss. Received: {record['loss']} in epoch {record['epoch']}. "
                "Try a lower --learning-rate"
            )
        is_best = all(_agreement(record) > _agreement(earlier) for earlier in self.history)
        history = [*self.history, record]
        self._write("history.jsonl", "".join(json.dumps(line) + "\n" for line in history))
        self.last.parent.mkdir(exist_ok=True)
        with written_whole(self.last) as temporary:
            model.save(temporary)
            if is_best:
                with written_whole(self.best) as copy:
                    shutil.copyfile(temporary, copy)
        self.history = history

    def _read_history(self) -> list[dict]:
        path = self.folder / "history.jsonl"
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in path.read_text().splitlines()]
        except ValueError as error:
            raise ValueError(f"Expected lines of JSON. Received: {path}: {error}") from error

    def _write(self, name: str, text: str) -> None:
        with written_whole(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def load_checkpoint(folder: Path) -> keras.Model | None:
    """The model after the last whole epoch of the run in a folder, or None before the first.

    Raises:
        OSError: the file is damaged.
    """
    path = folder / LAST
    if not path.exists():
        return None
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Keras' and zipfile's, by what is damaged
        raise OSError(f"Cannot read {path}: {error}") from error


def _agreement(record: dict) -> float:
    return record.get("val_two_afc", record["two_afc"])


def _check_same(path: Path, config: dict[str, Any]) -> None:
    try:
        begun = json.loads(path.read_text())
        parts = {part: dict(begun[part]) for part in ("options", "data")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"Expected a run's configuration. Received: {path}: {error!r}") from error
    for part, before in parts.items():
        for name in sorted({*before, *config[part]}):
            old, new = before.get(name), json.loads(json.dumps(config[part].get(name)))
            if old != new:
                raise ValueError(
                    f"Expected the options that the run in {path.parent} began with. "
                    f"Received: {name} {json.dumps(new)} instead of {json.dumps(old)}"
                )
