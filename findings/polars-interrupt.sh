#!/usr/bin/env bash
# polars 2.1.0: where it is loaded, Ctrl-C no longer ends the wait of the main thread for a queue or a lock; it is seen
# once the wait ends by itself, as the handler that polars sets lets system calls go on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q polars==2.1.0
cat > wait.py <<'PYTHON'
import signal
import sys
import threading
import time
from queue import SimpleQueue

if sys.argv[1] == "polars":
    import polars  # noqa: F401
queue = SimpleQueue()


def interrupt():
    time.sleep(0.3)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    time.sleep(2.0)
    queue.put(None)


threading.Thread(target=interrupt).start()
begin = time.monotonic()
try:
    queue.get()
except KeyboardInterrupt:
    pass
print(f"{time.monotonic() - begin:.1f}")
PYTHON
alone=$(venv/bin/python -I wait.py none)
loaded=$(venv/bin/python -I wait.py polars)
echo "seconds until Ctrl-C ends a wait: $alone, with polars $loaded"
venv/bin/python -I - "$alone" "$loaded" <<'PYTHON'
import sys

alone, loaded = map(float, sys.argv[1:])
if alone > 1.0:
    sys.exit("Ctrl-C does not end the wait without polars either")
if loaded < 1.0:
    sys.exit("Ctrl-C ends the wait with polars too")
PYTHON
