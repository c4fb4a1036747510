"""What decides in a gateway: no I/O, no clock, no chance. The shell calls it and does what it says."""
