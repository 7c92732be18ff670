from .job import Job as Job
from .job import run as run
from .result import JobResult as JobResult
