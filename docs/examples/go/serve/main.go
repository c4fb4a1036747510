// Answer what clients ask for, with plain amqp091-go: a service that says who has asked, and what.
//
//	go run ./serve amqp://guest:guest@localhost/%2F echo
//
// Start it several times, and the processes share the requests.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

type answer struct {
	User    string          `json:"user"`
	Payload json.RawMessage `json:"payload"`
}

func serve(url, service string) error {
	connection, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	queue := "app." + service
	// When a hundred requests wait, further ones are refused: their clients are told "overloaded" at once.
	limits := amqp.Table{"x-queue-type": "quorum", "x-max-length": 100, "x-overflow": "reject-publish"}
	if _, err = channel.QueueDeclare(queue, true, false, false, false, limits); err != nil {
		return err
	}
	if err = channel.QueueBind(queue, service, "warren.rpc", false, nil); err != nil {
		return err
	}
	if err = channel.Qos(16, 0, false); err != nil {
		return err
	}
	requests, err := channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	fmt.Println("serving", service)
	for asked := range requests {
		if err = respond(channel, asked); err != nil {
			return err
		}
	}
	return fmt.Errorf("the channel was closed")
}

func respond(channel *amqp.Channel, asked amqp.Delivery) error {
	user, _ := asked.Headers["user"].(string)
	body, err := json.Marshal(answer{User: user, Payload: asked.Body})
	if err != nil {
		return err
	}
	// The answer goes to where the request says, under the request's correlation id.
	published := amqp.Publishing{ContentType: "application/json", CorrelationId: asked.CorrelationId, Body: body}
	if err = channel.PublishWithContext(context.Background(), "warren.replies", asked.ReplyTo, false, false, published); err != nil {
		return err
	}
	// Last: if this process dies before, another one is given the request. So a request may come twice,
	// always with the same MessageId.
	return asked.Ack(false)
}

func main() {
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
