"""The shell beside others: its start as people install it, the speed of its scripts, the price of a program."""
