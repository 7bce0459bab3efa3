"""soft-DTW on a CPU (numba): `kernels` is what the others are for; ../README.md says how to read them."""
