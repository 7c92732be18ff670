"""GPU memory that a model needs: weights and KV cache, by arithmetic from its published sizes. Nothing is loaded.

Per token, the KV cache holds a key and a value vector of every layer and KV head:
``2 x layers x kv_heads x head_dim x bytes``. Layers with a sliding window (Gemma 3) are counted in full, so that the KV
cache is an upper bound for such models. Activations, CUDA graphs and the engine's own needs are not counted: vLLM takes
a few GiB more for them, so that a model that only just fits here may not fit in fact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.toml_table import TomlTable, above, at_least

GIB = 2**30
UTILIZATION = 0.9
"""Part of a GPU's memory that vLLM takes where ``gpu_memory_utilization`` is not given (0.9 to 0.92, by version)."""

SIZE_KEYS = ("parameters", "layers", "kv_heads", "head_dim")
"""Keys of a model's table `size`."""

_BYTES = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2, "fp8": 1, "int8": 1}
_SUFFIXES = (".safetensors", ".bin", ".pt", ".gguf")


@dataclass(frozen=True)
class ModelSize:
    """What a model's memory follows from.

    Attributes
    ----------
    weight_bytes
        Bytes of the weights where they are known whatever the engine's dtype: those of a quantised model's files.
    """

    parameters: float  # number of weights
    layers: int  # attention layers; below, key-value heads of a layer and the length of a head's vector
    kv_heads: int
    head_dim: int
    weight_bytes: int | None = None


@dataclass(frozen=True)
class GpuMemory:
    """GiB that a model needs on each of its GPUs; None where it is not known or not asked.

    Attributes
    ----------
    model
        The model's name.
    gpus
        GPUs that share the model: ``tensor_parallel_size`` times ``pipeline_parallel_size``. None for a server.
    weights
        The weights.
    context
        KV cache of one sequence that fills the context window.
    sequences
        ``max_num_seqs``: how many sequences the engine runs side by side at most; None: vLLM's choice.
    all_contexts
        KV cache of that many full context windows. With less the engine works too: it lets sequences wait.
    available
        What vLLM takes of the GPU memory that was named.
    fits
        Whether the weights and one full context fit into that.
    contexts_that_fit
        Full context windows beside the weights, no more than `sequences`.
    """

    model: str
    gpus: int | None = None
    weights: float | None = None
    context: float | None = None
    sequences: int | None = None
    all_contexts: float | None = None
    available: float | None = None
    fits: bool | None = None
    contexts_that_fit: int | None = None


def gpu_memory(
    model: str, size: ModelSize, engine: Mapping[str, Any], context_window: int, gpu_gib: float | None = None
) -> GpuMemory:
    """Return what a model needs on each of its GPUs, compared with a GPU of `gpu_gib` GiB if that is given.

    Weights are divided evenly among the GPUs. KV heads are divided by ``tensor_parallel_size``, a GPU having at least
    one, and layers by ``pipeline_parallel_size``. Of vLLM's other engine arguments ``dtype`` (bfloat16 if not given, or
    ``"auto"``), ``kv_cache_dtype``, ``max_model_len`` (in place of `context_window`), ``max_num_seqs`` and
    ``gpu_memory_utilization`` count.

    Raises
    ------
    InputError
        If one of those engine arguments is no whole number, the utilization not above 0 and at most 1, or `gpu_gib` no
        number above 0.
    """
    if gpu_gib is not None and not 0 < gpu_gib < math.inf:
        raise InputError(f"the GPU memory is {gpu_gib!r}: a number of GiB above 0 is needed")
    tensor, pipeline = (
        _whole(model, engine, "tensor_parallel_size", 1),
        _whole(model, engine, "pipeline_parallel_size", 1),
    )
    tokens, sequences = _whole(model, engine, "max_model_len", context_window), _whole(model, engine, "max_num_seqs", 0)
    width = bytes_of(engine.get("dtype"), 2)
    whole = size.parameters * width if size.weight_bytes is None else size.weight_bytes
    weights = whole / (tensor * pipeline) / GIB
    heads, layers = math.ceil(size.kv_heads / tensor), math.ceil(size.layers / pipeline)
    context = tokens * 2 * layers * heads * size.head_dim * bytes_of(engine.get("kv_cache_dtype"), width) / GIB
    available = fits = contexts = None
    if gpu_gib is not None:
        available = gpu_gib * _utilization(model, engine)
        spare = math.floor((available - weights) / context)
        fits = spare >= 1
        contexts = max(0, min(spare, sequences) if sequences else spare)
    return GpuMemory(
        model=model,
        gpus=tensor * pipeline,
        weights=weights,
        context=context,
        sequences=sequences or None,
        all_contexts=sequences * context if sequences else None,
        available=available,
        fits=fits,
        contexts_that_fit=contexts,
    )


def read_size(given: Mapping[str, Any], where: str) -> ModelSize:
    """Check a configuration's table of a model's size: parameters, layers, kv_heads, head_dim.

    Raises
    ------
    InputError
        If a key is missing, unknown or out of range; `where` stands before it in the message.
    """
    table = TomlTable(given, where, SIZE_KEYS)
    return ModelSize(
        parameters=table.get("parameters", float, above(0)),
        layers=table.get("layers", int, at_least(1)),
        kv_heads=table.get("kv_heads", int, at_least(1)),
        head_dim=table.get("head_dim", int, at_least(1)),
    )


def folder_size(folder: Path) -> ModelSize | None:
    """Return the size of the model in a folder, by its config.json and its files of weights; None if not known."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        stored = next(files for suffix in _SUFFIXES if (files := list(folder.glob(f"*{suffix}"))))
        held = sum(file.stat().st_size for file in stored)
        text = config.get("text_config") or config  # a model that sees pictures too has its text part there
        heads = text["num_attention_heads"]
        return ModelSize(
            parameters=held / bytes_of(text.get("dtype") or text.get("torch_dtype") or config.get("torch_dtype"), 2),
            layers=int(text["num_hidden_layers"]),
            kv_heads=int(text.get("num_key_value_heads") or heads),
            head_dim=int(text.get("head_dim") or text["hidden_size"] // heads),
            weight_bytes=held if "quantization_config" in config or stored[0].suffix == ".gguf" else None,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return None


def bytes_of(dtype: object, default: int) -> int:
    """Return the bytes of a number of a dtype by its name; the default where vLLM chooses or the name is not known."""
    name = str(dtype).removeprefix("torch.").lower()
    return next((width for known, width in _BYTES.items() if name == known or name.startswith(f"{known}_")), default)


def _whole(model: str, engine: Mapping[str, Any], key: str, default: int) -> int:
    value = engine.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"engine.{key} of model {model!r} is {value!r}: a whole number of at least 1 is needed")
    return value


def _utilization(model: str, engine: Mapping[str, Any]) -> float:
    value = engine.get("gpu_memory_utilization", UTILIZATION)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise InputError(
            f"engine.gpu_memory_utilization of model {model!r} is {value!r}: a number above 0 and at most 1 is needed"
        )
    return float(value)
