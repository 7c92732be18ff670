"""The offline engine without vLLM: what it asks for. With vLLM it is tested in tests/vllm."""

from __future__ import annotations

import pytest

from robatch.instances.errors import MissingExtraError
from robatch.proxies import OfflineEngine
from robatch.proxies.engines import offline


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
