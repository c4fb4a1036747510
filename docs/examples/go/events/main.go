// Hear who comes and goes, with plain amqp091-go. Each event is shown once, though the broker may bring it again.
//
//	go run ./events amqp://guest:guest@localhost/%2F app.events client.connected client.disconnected
package main

import (
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

// remembered is how many ids are kept to tell a repeat. Keep them with what an event changes, in one transaction, where that must be exact.
const remembered = 10_000

func listen(url, queue string, keys []string) error {
	connection, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	// Durable: what happens while this program is away waits for it, up to a limit.
	limits := amqp.Table{"x-queue-type": "quorum", "x-max-length": 100_000}
	if _, err = channel.QueueDeclare(queue, true, false, false, false, limits); err != nil {
		return err
	}
	for _, key := range keys {
		if err = channel.QueueBind(queue, key, "warren.events", false, nil); err != nil {
			return err
		}
	}
	if err = channel.Qos(100, 0, false); err != nil {
		return err
	}
	events, err := channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	seen, order := map[string]bool{}, []string{}
	for event := range events {
		if !seen[event.MessageId] {
			seen[event.MessageId], order = true, append(order, event.MessageId)
			fmt.Printf("%s %s\n", event.RoutingKey, event.Body)
		}
		if len(order) > remembered {
			delete(seen, order[0])
			order = order[1:]
		}
		if err = event.Ack(false); err != nil {
			return err
		}
	}
	return fmt.Errorf("the channel was closed")
}

func main() {
	if err := listen(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		log.Fatal(err)
	}
}
