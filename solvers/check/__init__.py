"""The independent check of a plan, of its calls and of its bound.

Code here shares nothing with the solvers: it counts again from the problem alone, by kernels of its own.
"""
