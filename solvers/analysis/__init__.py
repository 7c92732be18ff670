"""What a plan hangs on: the frontier of all budgets, and the sensitivity of one plan.

Code here reads prices from the relaxation; it solves nothing anew.
"""
