from .benchmark import gap_benchmark as gap_benchmark
from .presets import Preset as Preset
from .presets import default_preset as default_preset
from .presets import quick_preset as quick_preset
from .results import GapResults as GapResults
