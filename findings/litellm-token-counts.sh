#!/usr/bin/env bash
# LiteLLM 1.110.2: token_counter counts for Gemini, Mistral, Qwen and names that no model has with one and the same
# tokenizer, that of GPT-4, without a word; cost_per_token refuses such a name.
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
text = "Ein Sprachmodell beantwortet 12345678 Fragen zu 量子計算.\n    return answer"
names = ("gpt-4", "gemini/gemini-2.5-pro", "mistral/mistral-large-latest", "together_ai/Qwen/Qwen3-8B", "no-such-model")
counts = {name: litellm.token_counter(model=name, text=text) for name in names}
newer = litellm.token_counter(model="gpt-4o", text=text)
print(counts, "gpt-4o:", newer)
try:
    litellm.cost_per_token(model="no-such-model", prompt_tokens=1, completion_tokens=1)
    refused = False
except Exception as error:
    refused = True
    print("cost_per_token of no-such-model:", type(error).__name__)
if len(set(counts.values())) != 1 or newer in counts.values() or not refused:
    sys.exit("LiteLLM no longer counts the tokens of all these names with GPT-4's tokenizer")
PYTHON
