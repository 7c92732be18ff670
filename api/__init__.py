"""RoBatch: choose a model and a batch size for every query, within a budget, with proven bounds.

>>> import robatch
>>> problem = robatch.generate("realistic", queries=200, seed=1)
>>> plan = robatch.solve(problem, problem.budget_at(0.3))
>>> plan.realized_cost <= plan.budget  # what is billed keeps the budget
True

The stub beside this file names what is public, and nothing is imported until it is used. The list of solvers is
`robatch.solvers.solvers()`: the name `robatch.solvers` is the package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
