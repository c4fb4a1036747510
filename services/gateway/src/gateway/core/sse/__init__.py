"""The event stream of ``/sse`` (HTML, "Server-sent events"): what is on it, and how a client resumes it."""
