"""What does what the core says: the socket, the clock, tasks, and the classes that an application uses."""
