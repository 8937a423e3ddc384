"""Kernels of the layers, losses and optimizers of fastlstm.nn."""
