"""The folder of a SavedModel: its version, its warm-up requests, whole or not there."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

import lpips_tf
from lpips_tf import export
from lpips_tf.export import warmup


@pytest.mark.slow
def test_two_exports_at_once_get_versions_of_their_own(tmp_path):
    metric = lpips_tf.LPIPS()
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(export.export_saved_model, metric, tmp_path, warmup=False)
                for _ in range(2)]  # fmt: skip
    assert {run.result().name for run in runs} == {path.name for path in tmp_path.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}


@pytest.mark.slow
def test_an_interrupted_export_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(warmup, "write_requests", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export.export_saved_model(lpips_tf.LPIPS(), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_warm_up_requests_run_every_signature(saved):
    from tensorflow_serving.apis import prediction_log_pb2

    _, folder = saved()
    signatures = tf.saved_model.load(str(folder)).signatures
    seen = []
    for record in tf.data.TFRecordDataset(
        str(folder / "assets.extra" / "tf_serving_warmup_requests")
    ):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        seen.append(request.model_spec.signature_name)
        inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
        outputs = signatures[seen[-1]](**inputs)
        assert np.isfinite(next(iter(outputs.values())).numpy()).all()
    assert set(seen) == set(signatures)
    assert len(seen) == 5


@pytest.mark.slow
def test_a_version_is_the_next_and_never_replaced(tmp_path):
    metric = lpips_tf.LPIPS()
    (tmp_path / "new/7").mkdir(parents=True)
    folder = export.export_saved_model(metric, tmp_path / "new", warmup=False)
    assert folder == tmp_path / "new/8"
    with pytest.raises(FileExistsError, match=r"a new version. There is .*/new/7 already"):
        export.export_saved_model(metric, tmp_path / "new", 7)
    for number in (0, 2**63):
        with pytest.raises(ValueError, match=rf"from 1 to {2**63 - 1}. Received: .*/{number}$"):
            export.export_saved_model(metric, tmp_path / "new", number)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"7", "8"}
