package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A backend publishes to single users, like an application's server; never from the loop's thread.
type backend interface {
	send(room, user string, body []byte)
	err() error
	close()
}

type job struct {
	room, user string
	body       []byte
}

// runID is part of the ids of notifications, so that they are not repeats of those of another run against the same installation.
var runID = time.Now().UnixNano()

// lingerFor is how long a list waits for more entries.
const lingerFor = 20 * time.Millisecond

// A jobQueue is the queue in front of one or more publishers; jobs of one room go to one publisher, so their order is kept.
type jobQueue struct {
	queues []chan job
	first  atomic.Pointer[error]
	done   sync.WaitGroup
	end    func()
}

func (d *jobQueue) send(room, user string, body []byte) {
	d.queues[crc32.ChecksumIEEE([]byte(room))%uint32(len(d.queues))] <- job{room, user, bytes.Clone(body)}
}

func (d *jobQueue) err() error {
	if failed := d.first.Load(); failed != nil {
		return *failed
	}
	return nil
}

func (d *jobQueue) fail(err error) { d.first.CompareAndSwap(nil, &err) }

func (d *jobQueue) close() {
	for _, queue := range d.queues {
		close(queue)
	}
	d.done.Wait()
	if d.end != nil {
		d.end()
	}
}

// start runs one publisher for each queue. idle is called when a queue has run empty.
func (d *jobQueue) start(count int, publish func(job) error, idle func() error) {
	for range count {
		queue := make(chan job, 1<<14)
		d.queues = append(d.queues, queue)
		d.done.Add(1)
		go func() {
			defer d.done.Done()
			for one := range queue {
				err := publish(one)
				if err == nil && idle != nil && len(queue) == 0 {
					err = idle()
				}
				if err != nil {
					d.fail(err)
				}
			}
		}()
	}
}

// newBackend creates a backend; together is how many notifications share one message, if the protocol allows it.
func newBackend(text string, together int) (backend, error) {
	kind, address, _ := strings.Cut(text, "=")
	d := &jobQueue{}
	var err error
	switch kind {
	case "amqp-warren":
		if together > 1 {
			err = d.amqpLists(address, together)
			break
		}
		err = d.amqp(address, warrenPublishing)
	case "amqp-socketio":
		err = d.amqp(address, socketioPublishing)
	case "redis-socketio":
		err = d.redis(address, socketioCommand)
	case "redis-plain":
		err = d.redis(address, plainCommand)
	case "http-centrifugo":
		d.http(address)
	default:
		err = fmt.Errorf("--backend %q: amqp-warren, amqp-socketio, redis-socketio, redis-plain or http-centrifugo, then = and an address", text)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func quoted(body []byte) []byte {
	return append(append([]byte{'"'}, body...), '"')
}

// amqp publishes each job separately.
func (d *jobQueue) amqp(address string, form func(job) (exchange, key string, p amqp.Publishing)) error {
	channel, err := d.channel(address)
	if err != nil {
		return err
	}
	d.start(1, func(one job) error {
		exchange, key, publishing := form(one)
		return channel.PublishWithContext(context.Background(), exchange, key, false, false, publishing)
	}, nil)
	return nil
}

// amqpLists publishes up to so many jobs in one message, and fewer if no more arrive for a while.
func (d *jobQueue) amqpLists(address string, together int) error {
	channel, err := d.channel(address)
	if err != nil {
		return err
	}
	queue := make(chan job, 1<<14)
	d.queues = append(d.queues, queue)
	d.done.Add(1)
	go func() {
		defer d.done.Done()
		for first := range queue {
			list := warrenEntry([]byte("["), first)
			late := time.After(lingerFor)
		gather:
			for count := 1; count < together; count++ {
				select {
				case one, open := <-queue:
					if !open {
						break gather
					}
					list = warrenEntry(append(list, ','), one)
				case <-late:
					break gather
				}
			}
			err := channel.PublishWithContext(context.Background(), "warren.notify", "list", false, false, amqp.Publishing{
				ContentType: "application/vnd.warren.notifications+json", DeliveryMode: amqp.Persistent, Body: append(list, ']'),
			})
			if err != nil {
				d.fail(err)
			}
		}
	}()
	return nil
}

func warrenEntry(list []byte, one job) []byte {
	s, _, _ := nextStamp(one.body)
	return fmt.Appendf(list, `{"address":"user.%s","id":"%x-%x-%x","payload":%s}`, one.user, runID, s.room, s.number, quoted(one.body))
}

// channel opens a channel with confirms, which are read but not waited for.
func (d *jobQueue) channel(address string) (*amqp.Channel, error) {
	connection, err := amqp.Dial(address)
	if err != nil {
		return nil, err
	}
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1<<10))
	go func() {
		for confirm := range confirms {
			if !confirm.Ack {
				d.fail(errors.New("the broker refused a message"))
			}
		}
	}()
	d.end = func() { _ = connection.Close() }
	return channel, nil
}

func warrenPublishing(one job) (string, string, amqp.Publishing) {
	s, _, _ := nextStamp(one.body)
	return "warren.notify", "user." + one.user, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: quoted(one.body),
		MessageId: fmt.Sprintf("%x-%x-%x", runID, s.room, s.number),
	}
}

// socketioPublishing is what python-socketio's write-only manager publishes.
func socketioPublishing(one job) (string, string, amqp.Publishing) {
	text, _ := json.Marshal(map[string]any{
		"method": "emit", "event": "said", "data": []string{string(one.body)}, "binary": false, "namespace": "/",
		"room": one.room, "skip_sid": nil, "callback": nil, "host_id": "backend",
	})
	return "socketio", "*", amqp.Publishing{DeliveryMode: amqp.Persistent, Body: text}
}

// redis writes PUBLISH commands, batched while more are waiting, and reads the answers.
func (d *jobQueue) redis(address string, form func(job) (channel string, message []byte)) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	writer := bufio.NewWriterSize(connection, 1<<16)
	go func() {
		reader := bufio.NewReader(connection)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "-") {
				d.fail(errors.New("redis: " + strings.TrimSpace(line)))
			}
		}
	}()
	d.end = func() { _ = connection.Close() }
	d.start(1, func(one job) error {
		channel, message := form(one)
		fmt.Fprintf(writer, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n", len(channel), channel, len(message))
		_, _ = writer.Write(message)
		_, err := writer.WriteString("\r\n")
		return err
	}, writer.Flush)
	return nil
}

func plainCommand(one job) (string, []byte) {
	return "chat", fmt.Appendf(nil, `{"type":"NOTIFICATION","room":"%s","version":"1.0","payload":"%s"}`, one.room, one.body)
}

// socketioCommand is what @socket.io/redis-emitter publishes: [uid, packet, options] as MessagePack.
func socketioCommand(one job) (string, []byte) {
	out := []byte{0x93}
	text := func(s string) {
		switch {
		case len(s) < 32:
			out = append(out, 0xa0|byte(len(s)))
		case len(s) < 256:
			out = append(out, 0xd9, byte(len(s)))
		default:
			out = append(out, 0xda, byte(len(s)>>8), byte(len(s)))
		}
		out = append(out, s...)
	}
	text("emitter")
	out = append(out, 0x83)
	text("type")
	out = append(out, 2)
	text("data")
	out = append(out, 0x92)
	text("said")
	text(string(one.body))
	text("nsp")
	text("/")
	out = append(out, 0x83)
	text("rooms")
	out = append(out, 0x91)
	text(one.room)
	text("flags")
	out = append(out, 0x80)
	text("except")
	out = append(out, 0x90)
	return "socket.io#/#" + one.room + "#", out
}

const httpPublishers = 16

// http posts to Centrifugo's server API, several requests at a time.
func (d *jobQueue) http(address string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: httpPublishers, MaxConnsPerHost: httpPublishers}}
	d.end = client.CloseIdleConnections
	d.start(httpPublishers, func(one job) error {
		body := fmt.Appendf(nil, `{"channel":"%s","data":%s}`, one.room, quoted(one.body))
		request, err := http.NewRequest(http.MethodPost, address+"/api/publish", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-API-Key", "bench")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"error"`))) {
			err = fmt.Errorf("%s: %s", response.Status, clip(answer))
		}
		return err
	}, nil)
}
