"""Kernels for GPUs, by `numba.cuda`. Nothing here is imported before it is asked for."""
