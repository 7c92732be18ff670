"""The independent check of a plan, of its calls, its constraints and its bound.

Code here shares nothing with the solvers: it counts again from the problem's fields alone, by kernels of its own.
"""

from robatch.solvers.check.raw import VerificationError
from robatch.solvers.check.verify import Verified, verify
from robatch.solvers.check.verify_cheapest import verify_cheapest

__all__ = ["VerificationError", "Verified", "verify", "verify_cheapest"]
