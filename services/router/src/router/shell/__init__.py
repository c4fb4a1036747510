"""What acts in the router: takes from the bus, asks the core, does what it said, in order."""
