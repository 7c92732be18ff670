from .job import Job as Job
from .result import JobResult as JobResult
from .run_job import run as run
