"""soft-DTW on a GPU (numba; Triton for matrix products); `kernels` and `products` are the entries."""
