"""Plans that are executed: predict, solve, pack; send the calls, within the budget."""
