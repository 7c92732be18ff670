"""What RoBatch is held against: baselines, the paper's scheduler, other papers' methods, brute force.

Code here is plain and slow where that shows the method; no other solver may use it.
"""
