"""The offline engine without vLLM: what it asks for. With vLLM it is tested in tests/vllm."""

from __future__ import annotations

import pytest

from robatch.instances.errors import MissingExtraError
from robatch.proxies import OfflineEngine
from robatch.proxies.engines import offline
from robatch.proxies.engines.address import hub_revision


def test_missing_extras_are_named(monkeypatch):
    monkeypatch.setattr(offline, "find_spec", lambda name: None)

    def missing(module, extra, feature):
        raise MissingExtraError(f"{feature}: robatch[{extra}]")

    monkeypatch.setattr(offline, "require", missing)
    with pytest.raises(MissingExtraError, match=r"robatch\[vllm\]"):
        OfflineEngine("model", True, 1024)
    with pytest.raises(MissingExtraError, match=r"many GPUs .*robatch\[ray\]"):
        OfflineEngine("model", True, 1024, engine={"distributed_executor_backend": "ray", "tensor_parallel_size": 2})


def test_a_model_on_many_gpus_keeps_vllms_own_processes(monkeypatch):
    monkeypatch.delenv("VLLM_ENABLE_V1_MULTIPROCESSING", raising=False)
    one = offline._environment("owner/name", {"dtype": "bfloat16"})
    many = offline._environment("owner/name", {"tensor_parallel_size": 2})
    assert one["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in many


def test_the_commit_of_a_hub_model_is_what_the_cache_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert hub_revision("owner/name", {}) is None
    model = tmp_path / "models--owner--name"
    for commit, name in (("1" * 40, "main"), ("2" * 40, "v2")):
        (model / "snapshots" / commit).mkdir(parents=True)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / name).write_text(commit)
    assert hub_revision("owner/name", {}) == "1" * 40
    assert hub_revision("owner/name", {"revision": "v2"}) == "2" * 40
    assert hub_revision("owner/name", {"revision": "2" * 40}) == "2" * 40
    assert hub_revision("owner/name", {"revision": "v3"}) is None
    assert hub_revision("owner/name", {"download_dir": str(tmp_path / "elsewhere")}) is None
