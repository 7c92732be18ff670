"""The scaling benchmark: time and memory by size, and the ratios between solvers.

Code here plans, runs, records and shows that benchmark alone.
"""
