from .engine import Engine as Engine
from .engine import EngineFailure as EngineFailure
from .engine import ModelAnswer as ModelAnswer
from .engine import ModelCall as ModelCall
from .model_source import ModelSource as ModelSource
from .model_source import open_engine as open_engine
from .offline import OfflineEngine as OfflineEngine
from .server import ServerEngine as ServerEngine
