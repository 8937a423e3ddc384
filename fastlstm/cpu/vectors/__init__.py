"""The processor's vectors, as LLVM IR."""
