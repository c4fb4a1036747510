"""Private RabbitMQ nodes and clusters on this machine, for tests, benches and development; in no image."""
