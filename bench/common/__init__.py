"""What every benchmark shares: the record of a run, the machine, measuring, rows and panels.

Code here knows nothing of any one benchmark.
"""
