from .baselines import run_batch_only as run_batch_only
from .baselines import run_best as run_best
from .baselines import run_cheapest as run_cheapest
from .baselines import run_router_only as run_router_only
from .brute_force import best_legal as best_legal
