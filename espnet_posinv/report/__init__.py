"""Tables and plots from scores and experiment folders."""
