"""The proof of the broker: streams as the way in, on a cluster of three nodes that is treated badly.
``__main__`` says how it is run.
"""
