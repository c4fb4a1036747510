module warren.invalid/bench/load

go 1.24.0

require (
	github.com/rabbitmq/amqp091-go v1.12.0
	golang.org/x/sys v0.39.0
)
