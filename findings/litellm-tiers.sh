#!/usr/bin/env bash
# LiteLLM 1.110.2: a price above a number of tokens is billed by provider. Perplexity's models never pay theirs, those
# of xAI pay it from the threshold itself on, and Gemini's above it, though the fields of the table are the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q litellm==1.110.2
venv/bin/python -I - <<'PYTHON'
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # the table of the package, not that of the day

import litellm


def share(name, tokens, threshold):
    """Return what is billed for input, as a part of what all tokens would cost at the price above the threshold."""
    row = litellm.model_cost[name]
    bill, _ = litellm.cost_per_token(model=name, prompt_tokens=tokens, completion_tokens=0)
    return round(bill / (tokens * row[f"input_cost_per_token_above_{threshold}_tokens"]), 6)


seen = {
    "claude-haiku-5-5, 150,000": share("claude-haiku-5-5", 150_000, "100k"),
    "perplexity/anthropic/claude-haiku-5-5, 150,000": share("perplexity/anthropic/claude-haiku-5-5", 150_000, "100k"),
    "gemini/gemini-2.5-pro, 200,000": share("gemini/gemini-2.5-pro", 200_000, "200k"),
    "gemini/gemini-2.5-pro, 200,001": share("gemini/gemini-2.5-pro", 200_001, "200k"),
    "xai/grok-4.3, 199,999": share("xai/grok-4.3", 199_999, "200k"),
    "xai/grok-4.3, 200,000": share("xai/grok-4.3", 200_000, "200k"),
}
for name, part in seen.items():
    print(f"{name} tokens: {part} of the price above the threshold")
if list(seen.values()) != [1.0, 0.2, 0.5, 1.0, 0.5, 1.0]:
    sys.exit("LiteLLM no longer bills the prices above thresholds in three ways")
PYTHON
