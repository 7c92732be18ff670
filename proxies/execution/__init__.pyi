from .plan import RoutedPlan as RoutedPlan
from .pool import PoolModel as PoolModel
from .preview import dry_run as dry_run
from .report import ExecutionReport as ExecutionReport
from .routing import route as route
from .run import execute as execute
