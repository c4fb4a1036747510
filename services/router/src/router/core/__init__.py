"""What decides in the router: pure, without I/O, clock or chance."""
