"""The benchmark of what is billed: budgets broken on paper plans, utility lost by keeping them.

Code here plans, runs, records and shows that benchmark alone.
"""
