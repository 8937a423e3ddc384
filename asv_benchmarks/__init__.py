"""How fast fastlstm is: ASV's benchmarks (benchmarks/), and the comparison with other systems (peers.py)."""
