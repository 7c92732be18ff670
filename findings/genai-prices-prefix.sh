#!/usr/bin/env bash
# genai-prices 0.2.3: a name that no model has is priced as the model whose name it begins with for Anthropic and
# Google, and refused for OpenAI and xAI.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q genai-prices==0.2.3
venv/bin/python -I - <<'PYTHON'
import sys

from genai_prices import Usage, calc_price


def found(name):
    try:
        return calc_price(Usage(input_tokens=1_000_000), name).model.id
    except LookupError:
        return None


names = ("claude-haiku-4-5-of-mine", "gemini-2.5-pro-of-mine", "gpt-4o-of-mine", "grok-4-of-mine")
seen = {name: found(name) for name in names}
for name, model in seen.items():
    print(name, "is priced as", model)
if list(seen.values()) != ["claude-haiku-4-5", "gemini-2.5-pro", None, None]:
    sys.exit("names are no longer priced by how they begin for Anthropic and Google alone")
PYTHON
