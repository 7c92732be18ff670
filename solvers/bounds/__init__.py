"""Relaxations and duals: what no plan can exceed, and the prices that prove it.

Code here returns bounds and prices; an assignment only as what a relaxation or a target rounds to.
"""
