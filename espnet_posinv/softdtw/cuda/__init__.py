"""soft-DTW on a GPU (numba, and Triton for matrix products): `kernels`, `products`; see ../README.md."""
