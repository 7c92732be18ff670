"""The schedulers: amortized along the hulls, realized over whole calls, constrained by prices and moves.

Code here turns prices into assignments; what is proven about them comes from `bounds`.
"""
