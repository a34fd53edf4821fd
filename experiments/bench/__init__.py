"""How fast: both engines, plain SimPy scripts and other simulators on the same systems, in one run: ``make bench``."""
