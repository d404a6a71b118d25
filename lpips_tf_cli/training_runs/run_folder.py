"""The folder of a run: its options, its results, and the checkpoint to resume from.

config.json               options, data sets, versions
history.jsonl             a line for each epoch
checkpoints/last.keras    model and optimiser after the last whole epoch
checkpoints/best.keras    after the epoch with the highest agreement
tensorboard/              logs
learning_curve.png, heads.h5, backbone.h5    at the end

Each file is written whole or not at all. `last.keras` is written after the other files of its
epoch: it marks how far training has come.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lpips_tf._support.whole_files import written_whole
from lpips_tf.training import RankingModel

LAST = Path("checkpoints") / "last.keras"
TEMPORARY = r"\.(config|history|last|best|learning_curve|heads|backbone)-[a-z0-9_]+\.\w+"


class Run:
    """The folder of a run.

    Args:
        folder: `begin` makes it if it is missing.
        config: "options" and "data", which must be the same when a run is resumed, and any other
            fields to record.
        resume: go on with the run in the folder, if there is one.

    Raises:
        ValueError: the folder has other files, or another run.
    """

    def __init__(self, folder: Path, config: dict[str, Any], resume: bool) -> None:
        self.folder, self._config = folder, config
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"Expected a folder for the run. Received a file: {folder}")
        if (folder / "config.json").exists():
            if not resume:
                raise ValueError(
                    f"Expected an empty folder. Received: {folder} with a run. --resume continues "
                    "it"
                )
            if self.last.exists():  # without a checkpoint, other options lose nothing
                _check_same(folder / "config.json", config)
            for path in folder.rglob(".*-*"):  # temporary files of killed processes
                if re.fullmatch(TEMPORARY, path.name):
                    path.unlink()
        elif folder.exists() and any(
            not re.fullmatch(TEMPORARY, path.name) for path in folder.iterdir()
        ):
            raise ValueError(
                f"Expected an empty folder, or one with a run. Received: {folder} with other files"
            )
        self.history = self._read_history()

    def begin(self, epoch: int) -> None:
        """Makes the folder, or drops the unfinished epochs after the `epoch`-th.

        Raises:
            ValueError: the history lacks an epoch.
            OSError: the folder cannot be written to.
        """
        if len(self.history) < epoch:
            raise ValueError(
                f"Expected a line for each of {epoch} epochs. "
                f"Received: {self.folder / 'history.jsonl'} with {len(self.history)}"
            )
        self.history = self.history[:epoch]
        if epoch > 0:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"Cannot write {self.folder}: {error.strerror}") from error
        self._write("config.json", json.dumps(self._config, indent=2) + "\n")

    @property
    def last(self) -> Path:
        """The checkpoint after the last whole epoch."""
        return self.folder / LAST

    @property
    def best(self) -> Path:
        """The checkpoint after the epoch with the highest agreement."""
        return self.folder / "checkpoints" / "best.keras"

    @property
    def logs(self) -> Path:
        """The folder for TensorBoard."""
        return self.folder / "tensorboard"

    def save_epoch(self, model: keras.Model, record: dict[str, Any]) -> None:
        """Saves a finished epoch; after an error the checkpoint of the epoch before is kept.

        Args:
            model: after the epoch.
            record: its line in the history, with "two_afc" or "val_two_afc".

        Raises:
            ValueError: the loss or a weight is not finite.
            OSError: a file cannot be written.
        """
        if not math.isfinite(record["loss"]):
            raise ValueError(
                f"Expected a finite loss. Received: {record['loss']} in epoch {record['epoch']}. "
                "Try a lower --learning-rate"
            )
        for variable in model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise ValueError(
                    f"Expected finite weights. Received: {variable.path} with NaN or infinity "
                    f"after epoch {record['epoch']}. Try a lower --learning-rate"
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

    def _read_history(self) -> list[dict[str, Any]]:
        path = self.folder / "history.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        history = []
        for i, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if record["epoch"] != i or not {"loss", "two_afc"} <= set(record):
                    raise ValueError("another epoch")
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"Expected epoch {i} with its loss and two_afc. Received: {path}, line {i}: "
                    f"{line[:80]}"
                ) from error
            history.append(record)
        return history

    def _write(self, name: str, text: str) -> None:
        with written_whole(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def load_checkpoint(folder: Path) -> RankingModel | None:
    """The model after the last whole epoch of the run in a folder, or None before the first.

    Raises:
        OSError: the file is damaged.
    """
    path = folder / LAST
    if not path.exists():
        return None
    if not zipfile.is_zipfile(path):
        raise OSError(f"Cannot read {path}, it is damaged")
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # of Keras or zipfile, whichever part is damaged
        raise OSError(f"Cannot read {path}: {error}") from error
    if not isinstance(model, RankingModel):
        raise OSError(f"Expected a RankingModel in {path}. Received: {type(model).__name__}")
    return model


def _agreement(record: dict[str, Any]) -> float:
    return float(record.get("val_two_afc", record["two_afc"]))


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
