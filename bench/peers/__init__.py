"""Warren beside what one would take instead, in one run on one machine: `python -m bench.peers`, see
bench/README.md.
"""
