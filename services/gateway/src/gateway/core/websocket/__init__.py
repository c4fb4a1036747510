"""WebSocket (RFC 6455, RFC 7692) without I/O: bytes to frames and messages, and back."""
