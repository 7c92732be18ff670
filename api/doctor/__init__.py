"""What `robatch doctor` knows: how other libraries behave, and whether those that are installed are concerned."""

from robatch.doctor.behaviours import BEHAVIOURS, Behaviour
from robatch.doctor.diagnosis import Finding, diagnose

__all__ = ["BEHAVIOURS", "Behaviour", "Finding", "diagnose"]
