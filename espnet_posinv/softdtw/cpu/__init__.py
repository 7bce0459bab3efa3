"""soft-DTW on a CPU (numba); `kernels` is the entry, ../README.md explains the modules."""
