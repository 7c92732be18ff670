"""One mixed-integer formulation for each cost model, and the five backends that solve it.

Code here states the program once and hands it to a backend; each backend has a file of its own.
"""
