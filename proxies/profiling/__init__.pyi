from .config import ModelConfig as ModelConfig
from .config import ProfileConfig as ProfileConfig
from .config import read_config as read_config
from .measurements import Measurements as Measurements
from .run import profile as profile
from .sampling import pack as pack
