"""How figures are written and shown, the same in the terminal, in plots and on pages.

Code here knows numbers and tables, no problem and no plan.
"""
