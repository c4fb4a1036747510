// Notify a room, a user or a connection, with plain amqp091-go.
//
//	go run ./notify amqp://guest:guest@localhost/%2F room.default '{"text": "from the backend"}'
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func notify(url, key, payload string) error {
	connection, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err = channel.Confirm(false); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	// The id makes a repeat harmless: after an error, publish again under the same one.
	message := amqp.Publishing{
		ContentType: "application/json", Type: "NOTIFICATION", DeliveryMode: amqp.Persistent,
		MessageId: rand.Text(), Body: []byte(payload),
	}
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	confirmed, err := channel.PublishWithDeferredConfirmWithContext(ctx, "warren.notify", key, true, false, message)
	if err != nil {
		return err
	}
	taken, err := confirmed.WaitContext(ctx)
	if err != nil {
		return err
	}
	select {
	case back := <-returned: // it comes before the confirm
		return errors.New("nobody takes notifications: " + back.ReplyText)
	default:
	}
	if !taken {
		return errors.New("the broker did not take it; publish it again under the same id")
	}
	return nil
}

func main() {
	if err := notify(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}
