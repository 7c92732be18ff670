"""Where a model is: a folder, a name on the Hugging Face hub, or a server's address."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from robatch.instances.errors import InputError
from robatch.proxies.toml_table import secret_in

MODELS_FOLDER = "ROBATCH_MODELS"
"""Environment variable: the folder in which relative model paths are looked up too."""

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt")


def find_model(text: str, folder: Path) -> Path | None:
    """Find a model's folder by a path from `folder`, or from the folder that ``ROBATCH_MODELS`` names."""
    tried = [folder / text]
    if os.environ.get(MODELS_FOLDER):
        tried.append(Path(os.environ[MODELS_FOLDER]) / text)
    return next((path for path in tried if path.is_dir()), None)


def is_hub_name(text: str) -> bool:
    """Tell whether a text has the form ``owner/name``."""
    owner, slash, rest = text.partition("/")
    return bool(slash and owner.strip(".") and rest and "/" not in rest)


def hub_revision(name: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the commit of a hub model ``owner/name`` as the hub's cache here knows it; None where it does not.

    Of vLLM's engine `arguments`, ``revision`` and ``download_dir`` count.
    """
    home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    cache_folder = arguments.get("download_dir") or os.environ.get("HF_HUB_CACHE") or home / "hub"
    model = Path(cache_folder) / f"models--{name.replace('/', '--')}"
    revision = str(arguments.get("revision") or "main")
    try:
        return (model / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return revision if (model / "snapshots" / revision).is_dir() else None


def weights_sha256(folder: Path) -> str | None:
    """Return the SHA-256 of the weights in a model's folder; None where it holds none."""
    files = sorted(file for file in folder.iterdir() if file.suffix in _WEIGHTS)
    states = [file.stat() for file in files]
    return _sha256(tuple((file, state.st_size, state.st_mtime_ns) for file, state in zip(files, states, strict=True)))


@cache
def _sha256(files: tuple[tuple[Path, int, int], ...]) -> str | None:
    """Hash files one after the other; not again while their sizes and times stay."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        with file.open("rb") as weights:
            while block := weights.read(1 << 22):
                digest.update(block)
    return digest.hexdigest() if files else None


def check_base_url(text: str, where: str) -> str:
    """Return a server's base URL without a slash at its end.

    Raises
    ------
    InputError
        If it is none, or holds credentials: it is written into files.
    """
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.username or parts.password or parts.query or parts.fragment:
        shown = "it" if "@" in text or "?" in text else repr(text)
        raise InputError(f"{where}: {shown} is not a base URL such as http://127.0.0.1:8000/v1, without credentials")
    return text.rstrip("/")


def check_no_secret(engine: Mapping[str, Any], where: str) -> None:
    """Refuse engine arguments that hold a secret: they are written into files."""
    key = secret_in(engine)
    if key is not None:
        raise InputError(f"{where} holds {key!r}: secrets are taken from the environment, not from a file")
