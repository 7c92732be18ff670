"""What goes to other solvers and comes back: the program as a file, solutions of other solvers, plans made of them."""
