"""The real small model of these tests, and vLLM's OpenAI-compatible server with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

# vLLM's CPU build reads these; a GPU build ignores them
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "HF_HUB_OFFLINE": "1"}


class VllmServer:
    """A server of one model as a child process; `url` stays the same when it is started again."""

    def __init__(self, model: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
        self.command += ["--served-model-name", "small", "--host", "127.0.0.1", "--port", str(self.port)]
        self.command += ["--dtype", "bfloat16", "--max-model-len", "2048", "--max-num-seqs", "8", "--enforce-eager"]
        self.child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        child = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.child = child
        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except OSError:
                assert child.poll() is None, f"vLLM's server ended: {child.communicate()[1][-2000:]}"
                assert time.monotonic() < deadline, "vLLM's server did not start in five minutes"
                time.sleep(1)

    def stop(self) -> None:
        """End it as a user would."""
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and its engine at once, as a crash would."""
        assert self.child
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.communicate()


@pytest.fixture(scope="session", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU.items():
            patch.setenv(name, os.environ.get(name, value))
        yield


@pytest.fixture(scope="session")
def model() -> Path:
    folder = os.environ.get("ROBATCH_TEST_MODEL")
    assert folder, "ROBATCH_TEST_MODEL must name the folder of a small model: see CONTRIBUTING.md"
    assert (Path(folder) / "config.json").is_file(), f"{folder} holds no model"
    return Path(folder)


@pytest.fixture(scope="session")
def vllm_server(model: Path) -> Iterator[VllmServer]:
    """A server that a test may kill, if it starts it again."""
    running = VllmServer(model)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def server(vllm_server: VllmServer) -> str:
    return vllm_server.url
