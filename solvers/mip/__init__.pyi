from .cut_loop import Backend as Backend
from .cut_loop import Found as Found
from .cut_loop import Outcome as Outcome
from .cut_loop import keep_budget as keep_budget
from .cut_loop import solve_and_cut as solve_and_cut
from .formulation import MipModel as MipModel
from .formulation import build as build
