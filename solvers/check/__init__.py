"""The independent check of a plan, of its calls, its constraints and its bound.

Code here counts again, from the problem's fields alone and by kernels of its own, which it shares with no solver. Only
where queries conflict are the calls those of `Plan.calls`, each of which is then checked.
"""

from robatch.solvers.check.raw import VerificationError
from robatch.solvers.check.verify import Verified, verify
from robatch.solvers.check.verify_cheapest import verify_cheapest

__all__ = ["VerificationError", "Verified", "verify", "verify_cheapest"]
