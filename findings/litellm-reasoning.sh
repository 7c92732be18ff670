#!/usr/bin/env bash
# LiteLLM 1.110.2: hidden reasoning is priced apart from other output for 16 models, dearer for most and cheaper for
# one: of 1,000 output tokens of sonar-deep-research, 800 of them reasoning, half of the price of output is billed.
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

from litellm.types.utils import CompletionTokensDetailsWrapper, Usage

apart = {"dearer": [], "cheaper": []}
for name, row in litellm.model_cost.items():
    output, reasoning = row.get("output_cost_per_token"), row.get("output_cost_per_reasoning_token")
    if output and reasoning and output != reasoning:
        apart["dearer" if reasoning > output else "cheaper"].append(name)
print({kind: len(names) for kind, names in apart.items()}, apart["cheaper"])
name = "perplexity/sonar-deep-research"
details = CompletionTokensDetailsWrapper(reasoning_tokens=800)
usage = Usage(prompt_tokens=0, completion_tokens=1000, total_tokens=1000, completion_tokens_details=details)
_, bill = litellm.cost_per_token(model=name, prompt_tokens=0, completion_tokens=1000, usage_object=usage)
print(name, "1,000 output tokens, 800 of them reasoning:", bill, "USD; all as output:", 0.008)
if apart["cheaper"] != [name] or len(apart["dearer"]) != 15 or abs(bill - 0.004) > 1e-9:
    sys.exit("reasoning is no longer priced apart for these 16 models, or billed as it was")
PYTHON
