"""The gap benchmark: how far each solver is from the least bound that any of them proved.

Code here plans, runs, records and shows that benchmark alone.
"""
