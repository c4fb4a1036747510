"""The contract: every message that crosses Warren's edges, as a struct with a sentence for each field.

Clients' frames in both directions, what backends publish, hear, command, answer and are asked. What Warren
sends to itself is not here (``warren/envelope.py``). Parsers decode into these structs and encoders write
them, or a test holds the struct to the bytes; so the documents that are made from here are true.
"""
