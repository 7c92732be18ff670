"""What a solver returns: the plan, and the calls that its queries are packed into.

Code here knows problems and assignments; it chooses no states and proves nothing.
"""
