"""Methods of other papers on routing, as solvers of this problem: peers that the schedulers are compared with.

They are written anew from what the papers say, for states instead of models, and each file says what was left out or
changed. None of them proves anything; each makes a schedule for a budget, which `answer` turns into a plan.
"""
