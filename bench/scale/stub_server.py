"""A server in a process of its own that answers chat calls at once: what it costs is not the client's."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SLOT = re.compile(r"(?:^|\n)Q\d+: ")
_HEAD = "HTTP/1.1 {} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


@contextmanager
def stub_server() -> Iterator[str]:
    """Start the server in a new process, give its base URL, and end it."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def _answer(body: bytes) -> bytes:
    """Answer every slot of a prompt alike; tokens in are words, tokens out three a slot."""
    asked = json.loads(body)
    prompt = asked["messages"][0]["content"]
    slots = len(_SLOT.findall(prompt))
    text = "\n".join(f"A{i}: good" for i in range(1, slots + 1))
    tokens = len(prompt.split()), 3 * slots
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    reply = {"id": "x", "object": "chat.completion", "created": 0, "model": asked["model"]}
    return json.dumps(reply | {"choices": [choice], "usage": usage}).encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(next((line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b"0"))
            body = await reader.readexactly(length)
            status, reply = (200, _answer(body)) if length else (404, b"{}")
            writer.write(_HEAD.format(status, len(reply)).encode() + reply)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
