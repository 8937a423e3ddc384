"""Everything that is compiled. `backend` is the door: NumPy arrays in, NumPy arrays out."""
