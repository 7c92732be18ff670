"""GPU memory by arithmetic: known models, shared among GPUs, read from folders."""

from __future__ import annotations

import json
import math

import pytest

from robatch.instances import InputError
from robatch.proxies.profiling.gpu_memory import GIB, ModelSize, bytes_of, folder_size, gpu_memory, read_size

QWEN3_4B = ModelSize(4_022_468_096, layers=36, kv_heads=8, head_dim=128)
QWEN3_32B = ModelSize(32_762_123_264, layers=64, kv_heads=8, head_dim=128)


def test_weights_and_kv_cache_of_a_known_model():
    found = gpu_memory("m", QWEN3_4B, {"max_num_seqs": 4}, 32768)
    assert found.weights == pytest.approx(4_022_468_096 * 2 / GIB)
    assert found.context == 4.5  # 147,456 bytes a token
    assert (found.gpus, found.sequences, found.all_contexts) == (1, 4, 18.0)
    assert (found.available, found.fits, found.contexts_that_fit) == (None, None, None)
    free = gpu_memory("m", QWEN3_4B, {}, 32768)
    assert (free.sequences, free.all_contexts) == (None, None)


def test_what_fits():
    found = gpu_memory("m", QWEN3_32B, {"gpu_memory_utilization": 0.95}, 32768, 80)
    assert found.available == 76.0
    assert (found.fits, found.contexts_that_fit) == (True, 1)
    assert gpu_memory("m", QWEN3_32B, {}, 4096, 80).contexts_that_fit == 10
    assert gpu_memory("m", QWEN3_32B, {"max_num_seqs": 3}, 4096, 80).contexts_that_fit == 3
    small = gpu_memory("m", QWEN3_32B, {}, 32768, 48)
    assert (small.fits, small.contexts_that_fit) == (False, 0)
    exact = ModelSize(9 * GIB / 2, layers=1, kv_heads=1, head_dim=2**28)  # one token is one GiB
    assert gpu_memory("m", exact, {"gpu_memory_utilization": 1.0}, 1, 10).fits
    assert not gpu_memory("m", exact, {"gpu_memory_utilization": 1.0}, 1, 9.999).fits


def test_engine_arguments_that_count():
    one = gpu_memory("m", QWEN3_32B, {}, 32768)
    two = gpu_memory("m", QWEN3_32B, {"tensor_parallel_size": 2}, 32768)
    assert (two.gpus, two.weights, two.context) == (2, one.weights / 2, one.context / 2)
    many = gpu_memory("m", QWEN3_32B, {"tensor_parallel_size": 16, "pipeline_parallel_size": 2}, 32768)
    assert (many.gpus, many.weights) == (32, one.weights / 32)
    assert many.context == one.context / 16, "a GPU holds at least one KV head"
    assert gpu_memory("m", QWEN3_32B, {"max_model_len": 8192}, 32768).context == one.context / 4
    assert gpu_memory("m", QWEN3_32B, {"kv_cache_dtype": "fp8_e5m2"}, 32768).context == one.context / 2
    assert gpu_memory("m", QWEN3_32B, {"dtype": "auto"}, 32768) == one
    wide = gpu_memory("m", QWEN3_32B, {"dtype": "float32"}, 32768)
    assert (wide.weights, wide.context) == (one.weights * 2, one.context * 2)
    assert [bytes_of(name, 2) for name in ("torch.float32", "half", "auto", None, "new")] == [4, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("engine", "gib", "complaint"),
    [
        ({"tensor_parallel_size": 0}, None, "engine.tensor_parallel_size of model 'm' is 0: a whole number"),
        ({"max_num_seqs": "many"}, None, "max_num_seqs of model 'm' is 'many'"),
        ({"max_model_len": True}, None, "max_model_len of model 'm' is True"),
        ({"gpu_memory_utilization": 1.5}, 80, "gpu_memory_utilization of model 'm' is 1.5: a number above 0"),
        ({}, 0, "the GPU memory is 0"),
        ({}, math.nan, "the GPU memory is nan"),
    ],
)
def test_bad_values_are_refused(engine, gib, complaint):
    with pytest.raises(InputError, match=complaint):
        gpu_memory("m", QWEN3_4B, engine, 32768, gib)


def test_a_size_in_a_configuration():
    good = {"parameters": 4.02e9, "layers": 36, "kv_heads": 8, "head_dim": 128}
    assert read_size(good, "size.") == ModelSize(4.02e9, 36, 8, 128)
    for key, value in (("parameters", 0), ("layers", 36.5), ("kv_heads", -1), ("hidden", 2560)):
        with pytest.raises(InputError, match=rf"size\.{key}"):
            read_size(good | {key: value}, "size.")
    with pytest.raises(InputError, match=r"'size\.head_dim' is missing"):
        read_size({key: value for key, value in good.items() if key != "head_dim"}, "size.")


def test_the_size_of_a_folder(tmp_path):
    def write(**config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return folder_size(tmp_path)

    plain = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 64}
    assert write(**plain) is None, "no weights"
    (tmp_path / "model-1.safetensors").write_bytes(bytes(600))
    (tmp_path / "model-2.safetensors").write_bytes(bytes(400))
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(1000))
    assert write(**plain) == ModelSize(500, layers=3, kv_heads=4, head_dim=16)
    assert write(**plain, num_key_value_heads=2, head_dim=32, torch_dtype="float32") == ModelSize(250, 3, 2, 32)
    assert write(text_config=plain | {"dtype": "bfloat16"}, vision_config={}) == ModelSize(500, 3, 4, 16)
    packed = write(**plain, quantization_config={"bits": 4})
    assert packed.weight_bytes == 1000
    assert gpu_memory("m", packed, {"dtype": "float32"}, 1).weights == 1000 / GIB
    assert write(num_hidden_layers=3) is None
    (tmp_path / "config.json").write_text("[1]")
    assert folder_size(tmp_path) is None
    assert folder_size(tmp_path / "nowhere") is None
