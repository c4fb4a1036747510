"""RabbitMQ over AMQP 0-9-1, with aiormq: what stands behind ``warren.bus`` in production."""
