#!/usr/bin/env bash
# tokencost 0.1.26: calls above a threshold cost what calls below it cost: 200,001 input tokens of Gemini 2.5 Pro are
# 0.25 USD, and 0.50 USD by genai-prices 0.2.3, whose tiers are those of the provider.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q tokencost==0.1.26 genai-prices==0.2.3
venv/bin/python -I - <<'PYTHON'
import sys

from genai_prices import Usage, calc_price
from tokencost import calculate_cost_by_tokens

seen = {}
for tokens in (200_000, 200_001):
    ours = float(calculate_cost_by_tokens(tokens, "gemini/gemini-2.5-pro", "input"))
    other = float(calc_price(Usage(input_tokens=tokens), "gemini-2.5-pro").input_price)
    seen[tokens] = (round(ours, 4), round(other, 4))
    print(tokens, "tokens: tokencost", ours, "genai-prices", other)
if seen != {200_000: (0.25, 0.25), 200_001: (0.25, 0.5)}:
    sys.exit("tokencost no longer leaves out the price above the threshold")
PYTHON
