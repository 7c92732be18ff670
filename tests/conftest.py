"""What all tests share: where paper_repro is found."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests and paper_repro are not installed
