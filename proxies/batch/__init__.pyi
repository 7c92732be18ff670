from .requests import FileLimits as FileLimits
from .run import collect as collect
from .run import execute_batches as execute_batches
from .run import write_requests as write_requests
from .session import Collected as Collected
