"""What decides in a gateway: no I/O, no clock, no chance. What it says is done by the shell."""
