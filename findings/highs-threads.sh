#!/usr/bin/env bash
# highspy 1.16.0: the first run of a thread sets how many threads HiGHS has in it. A second object that asks for
# another number does not run: the status is an error, the model's status is not set, and the objective reads 0. No
# number (0) takes what is there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q highspy==1.16.0
venv/bin/python -I - <<'PYTHON'
import sys

import highspy


def solved(threads):
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", threads)
    x = highs.addBinary()
    highs.addConstr(x <= 1)
    ran = highs.maximize(x)
    return ran.name, highs.getModelStatus().name, highs.getInfo().objective_function_value


seen = {}
for threads in (1, 2, 0):
    seen[threads] = solved(threads)
    print(threads, "threads:", *seen[threads])
right = ("kOk", "kOptimal", 1.0)
if seen != {1: right, 2: ("kError", "kNotset", 0.0), 0: right}:
    sys.exit("HiGHS no longer refuses a second number of threads alone")
PYTHON
