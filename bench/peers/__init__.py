"""Warren and its alternatives in one run on one machine: ``python -m bench.peers``; bench/README.md says what
is measured.
"""
