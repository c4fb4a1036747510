"""The conformance kit: a scripted server that leads a client of ``warren.v1`` through the hard parts of the
protocol, and says in sentences what the client did wrong.

It knows docs/protocol.md and nothing of Warren's code, so that it can be installed by itself. It never
decides by what a client looks like inside: only frames, and what the client's application was told, count.
"""
