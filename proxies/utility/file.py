"""Files of fitted proxies: skops' format, which holds no code, read with a list of the classes that may be in it."""

from __future__ import annotations

import io as bytes_io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from skops import io  # type: ignore[import-untyped]

from robatch.instances.errors import InputError, why_unreadable
from robatch.instances.files import replacing
from robatch.proxies.utility.estimator_parts import from_parts, to_parts
from robatch.proxies.utility.utility_proxy import UtilityProxy

KIND = "robatch utility proxy"
FORMAT = 3
"""The format that is written. Format 2, with other names of classes, fields and keys, is read too."""

MAX_BYTES = 2**30
"""Bytes of a file, and of all that it holds: more is not read."""

_RENAMED_CLASSES = {"robatch.proxies.utility.facts.Facts": "robatch.proxies.utility.fit_context.FitContext"}
_RENAMED_FIELDS = {"robatch.proxies.utility.uncertainty.Uncertainty": {"router": "score_error"}}
"""Names of format 2 and what they became; a file is read as if it had today's. The fields are by their class."""

_OWN = frozenset(
    {
        "robatch.proxies.utility.calibration.Calibrator",
        "robatch.proxies.utility.decomposition.Decomposition",
        "robatch.proxies.utility.decomposition.Layout",
        "robatch.proxies.utility.features.Features",
        "robatch.proxies.utility.features.HashedTfidf",
        "robatch.proxies.utility.fit_context.FitContext",
        "robatch.proxies.utility.scaling.Curve",
        "robatch.proxies.utility.token_counts.TokenCounts",
        "robatch.proxies.utility.uncertainty.Uncertainty",
    }
)
"""The classes of robatch that a proxy is made of; estimators are rebuilt (see `utility.estimator_parts`)."""

_SCALERS = frozenset(
    {
        "sklearn.decomposition._truncated_svd.TruncatedSVD",
        "sklearn.preprocessing._data.MaxAbsScaler",
        "sklearn.preprocessing._data.StandardScaler",
    }
)
"""What features are made with; all of it numpy's arithmetic, which checks shapes."""

_PLAIN = frozenset(f"builtins.{name}" for name in ("str", "int", "float", "bool", "dict", "list", "tuple"))
_LOADERS = frozenset({"ObjectNode", "TypeNode", "JsonNode", "NdArrayNode", "DictNode", "TupleNode", "ListNode"})
_NETWORK = ("endpoint:", "sentence-transformers:")
_ATTRIBUTES = ("decomposition_", "facts_", "features_", "input_tokens_", "layout_", "output_tokens_", "uncertainty_")


def save(proxy: UtilityProxy, path: str | os.PathLike[str]) -> None:
    """Write a fitted proxy; see `UtilityProxy.save`."""
    check_is_fitted(proxy)
    if callable(proxy.features):
        raise InputError("features is a callable: a proxy with one cannot be saved, since files hold no code")
    try:
        kept = {name: getattr(proxy, name) for name in _ATTRIBUTES}
        params = proxy.get_params(deep=False)
        if not isinstance(proxy.router, str):
            params["router"] = None  # what was fitted to is in the estimators; an estimator of its own is not kept
        content = {
            "kind": KIND,
            "format": FORMAT,
            "robatch": version("robatch"),
            "params": params,
            "estimators": [to_parts(estimator) for estimator in proxy.estimators_],
            "proxy": kept,
        }
        data = _checked(io.dumps(content))
    except Exception as error:
        raise InputError(f"the proxy cannot be saved: {error}") from error
    with replacing(path) as temporary:
        Path(temporary).write_bytes(data)


def load(path: str | os.PathLike[str], features: str | None = None) -> UtilityProxy:
    """Read a proxy; see `UtilityProxy.load`."""
    name = str(path)
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{name!r} has {size:,} bytes: a proxy has at most {MAX_BYTES:,}")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the proxy {name!r}: {why_unreadable(error)}") from error
    foreign = InputError(f"{name!r} is not a proxy that robatch wrote, or it is damaged")
    try:
        data = _checked(data)
        content = io.loads(data, trusted=[kind for kind in io.get_untrusted_types(data=data) if kind in _OWN])
    except InputError as error:
        raise InputError(f"{name!r} {error}: it was not read") from error
    except Exception as error:  # whatever zip, JSON, numpy and skops say of a damaged file
        raise foreign from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise foreign
    if content.get("format") not in (2, FORMAT):
        raise InputError(
            f"{name!r} has format {content.get('format')!r}: this version of robatch reads formats 2 and {FORMAT}"
        )
    try:
        proxy = _made(content)
    except Exception as error:
        raise foreign from error
    source = proxy.features
    if features is not None and source != features:
        raise InputError(f"{name!r} was fitted with features {source!r}: features is {features!r}")
    if source.startswith(_NETWORK) and source != features:
        raise InputError(
            f"{name!r} has the features {source!r}, which send texts to a server or download a model: name the same "
            "features (features, --features) to allow it"
        )
    return proxy


def _made(content: dict[str, Any]) -> UtilityProxy:
    """Make the proxy of its parts, and see that it predicts."""
    params, kept = content["params"], content["proxy"]
    proxy = UtilityProxy(**params)
    if set(kept) != set(_ATTRIBUTES):
        raise ValueError("attributes do not match")
    for name in _ATTRIBUTES:
        setattr(proxy, name, kept[name])
    proxy.estimators_ = [from_parts(parts) for parts in content["routers" if content["format"] == 2 else "estimators"]]
    for part in (*kept.values(), *proxy.decomposition_.curves, *proxy.decomposition_.calibrators):
        if is_dataclass(part) and set(vars(part)) != {field.name for field in fields(part)}:
            raise ValueError("attributes do not match")
    features = proxy.features_
    if proxy.features == "given":
        proxy.n_features_in_ = vars(features)["n_features_"]
    if not isinstance(proxy.features, str) or proxy.features != features.source:
        raise ValueError("the features are not those that were fitted")
    states = len(proxy.layout_.states)
    if proxy.uncertainty_.covariance.shape != (states, states) or len(proxy.estimators_) != proxy.layout_.n_units:
        raise ValueError("shapes do not match")
    if not proxy.features.startswith(_NETWORK):
        one: Any = np.zeros((1, len(vars(features)["scaler_"].scale_))) if proxy.features == "given" else ["one text"]
        if proxy.predict(one).shape != (1, states) or proxy.predict_lower(one, 0.9).shape != (1, states):
            raise ValueError("shapes do not match")
    return proxy


def _checked(data: bytes) -> bytes:
    """Return a file's content under today's names.

    A file that holds other classes than a proxy needs, or that grows when it is read, is refused.
    """
    with zipfile.ZipFile(bytes_io.BytesIO(data)) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise InputError("holds compressed parts, which no proxy does")
        if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
            raise InputError(f"holds more than {MAX_BYTES:,} bytes")
        schema = json.loads(archive.read("schema.json"))
        nodes = list(_nodes(schema))
        if sum(_rename(node) for node in nodes):
            data = _rewritten(archive, schema)
    total = 0
    for node in nodes:
        kind = _class_of(node)
        array = node.get("__module__") == "numpy" and node["__loader__"] == "NdArrayNode"
        if node["__loader__"] not in _LOADERS or not (array or kind in _OWN | _SCALERS | _PLAIN):
            raise InputError(f"holds {kind}, which no proxy needs")
        total += members[node["file"]].file_size if "file" in node else 0
    if total > MAX_BYTES:
        raise InputError(f"names its parts so often that they are more than {MAX_BYTES:,} bytes")
    return data


def _class_of(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _rename(node: dict[str, Any]) -> bool:
    """Give a node of the schema today's class and fields; tell whether it had others."""
    kind = _class_of(node)
    new, changes = _RENAMED_CLASSES.get(kind), _RENAMED_FIELDS.get(kind, {})
    if new is not None:
        node["__module__"], _, node["__class__"] = new.rpartition(".")
    values = node["content"]["content"] if changes else {}
    if not changes.keys() & values.keys():
        return new is not None
    node["content"]["content"] = {changes.get(name, name): value for name, value in values.items()}
    return True


def _rewritten(archive: zipfile.ZipFile, schema: Any) -> bytes:
    """Return the bytes of an archive with another schema."""
    buffer = bytes_io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as copy:
        for member in archive.infolist():
            kept = json.dumps(schema) if member.filename == "schema.json" else archive.read(member)
            copy.writestr(member.filename, kept)
    return buffer.getvalue()


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Yield the nodes of skops' schema, which say what is made of what."""
    if isinstance(part, dict):
        if "__loader__" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _nodes(inner)
