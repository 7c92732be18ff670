#!/usr/bin/env bash
# LiteLLM 1.110.2: gemini-exp-1206 has a price in the table and costs nothing, since the name with its provider is
# another entry; a model of one's own on Fireworks costs nothing, or what its size in billions costs where the name
# holds it, while unknown names of other providers are refused.
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

litellm.suppress_debug_info = True


def bill(name, **provider):
    try:
        return litellm.cost_per_token(model=name, prompt_tokens=1_000_000, completion_tokens=0, **provider)[0]
    except Exception as error:  # of several kinds, by provider
        return type(error).__name__


stated = litellm.model_cost["gemini-exp-1206"]["input_cost_per_token"]
seen = {
    "gemini-exp-1206": bill("gemini-exp-1206", custom_llm_provider="gemini"),
    "fireworks_ai/accounts/me/models/tuned": bill("fireworks_ai/accounts/me/models/tuned"),
    "fireworks_ai/accounts/me/models/tuned-8b": bill("fireworks_ai/accounts/me/models/tuned-8b"),
    "together_ai/me/tuned-8b": bill("together_ai/me/tuned-8b"),
    "openrouter/me/tuned-8b": bill("openrouter/me/tuned-8b"),
}
print("gemini-exp-1206 in the table:", stated * 1e6, "USD per million")
for name, cost in seen.items():
    print(name, cost)
free, own, sized, *others = seen.values()
if stated != 3e-07 or free != 0.0:
    sys.exit("gemini-exp-1206 no longer costs nothing beside its price in the table")
if own != 0.0 or not isinstance(sized, float) or not 0.0 < sized < 1.0:
    sys.exit("unknown models on Fireworks no longer cost nothing, or what their size costs")
if others != ["ModelNotMappedError"] * 2:
    sys.exit("unknown models of other providers are no longer refused")
PYTHON
