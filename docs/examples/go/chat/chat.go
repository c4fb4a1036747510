// Package chat is a client of Warren in the terminal: it joins one room, sends what is typed, and shows what others say, over any number
// of reconnects. What a WebSocket library must do for it is the interface Socket.
package chat

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"time"

	"warren.example/room"
)

// Socket is one connection.
type Socket interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, text []byte) error
	Close()
}

// Dial connects, with the subprotocol warren.v1.
type Dial func(ctx context.Context, url string) (Socket, error)

// Closed is the error of Read after the server's close frame.
type Closed struct {
	Code   int
	Reason string
}

func (c Closed) Error() string { return fmt.Sprintf("closed: %d %s", c.Code, c.Reason) }

// final are the close codes after which nobody comes back (docs/protocol.md, "Close codes"); 4001 needs a fresh token, which this program
// does not have.
var final = map[int]bool{1000: true, 1002: true, 4001: true, 4003: true, 4006: true, 4007: true}

const (
	base, most = time.Second, 30 * time.Second
	gapAfter   = time.Second
	silent     = 60 * time.Second // a PING goes out after half of that
)

// Run joins, and returns when the server says not to come back, or when nothing more is typed and all is acknowledged.
func Run(dial Dial, url, name string) error {
	client := &client{dial: dial, url: url, room: room.New(name), lines: typed()}
	for tries := 0; ; tries++ {
		began := time.Now()
		err := client.connection()
		var closed Closed
		if err == nil || (errors.As(err, &closed) && final[closed.Code]) {
			return err
		}
		if time.Since(began) > 5*time.Second {
			tries = 0
		}
		// full jitter: clients that were cut off together must not come back together
		wait := time.Duration(mathrand.Int64N(int64(min(base<<min(tries, 5), most))))
		wait = max(wait, client.wait)
		client.wait = 0
		fmt.Printf("%v; again in %.1f s\n", err, wait.Seconds())
		time.Sleep(wait)
	}
}

type client struct {
	dial  Dial
	url   string
	room  *room.Room
	lines chan string // closed at the end of the input
	ended bool
	wait  time.Duration // what the server has asked for
}

// connection is the life of one.
func (c *client) connection() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dialling, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	// join=manual: nothing comes before our JOIN says what we have seen
	socket, err := c.dial(dialling, c.url+"&join=manual")
	if err != nil {
		return err
	}
	defer socket.Close()
	frames, failed := make(chan room.Frame), make(chan error, 1)
	go read(ctx, socket, frames, failed)
	send := func(text []byte) {
		writing, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		// a write that fails is no news: the read fails too
		_ = socket.Write(writing, text)
	}
	lines := c.lines
	if c.ended {
		lines = nil
	}
	gap := time.NewTicker(gapAfter)
	defer gap.Stop()
	missing, heard, welcomed := false, time.Now(), false
	var reconnect <-chan time.Time
	for {
		if c.ended && welcomed && len(c.room.Unacknowledged()) == 0 {
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-reconnect:
			return errors.New("the server asked to reconnect")
		case line, more := <-lines:
			if !more {
				c.ended, lines = true, nil
				continue
			}
			send(c.room.Say(rand.Text()[:16], line))
		case <-gap.C:
			if missing && c.room.Gap() { // for a whole second
				send(c.room.Join())
			}
			missing = c.room.Gap()
			if quiet := time.Since(heard); quiet > silent {
				return errors.New("the server is silent")
			} else if quiet > silent/2 {
				send([]byte(`{"type":"PING"}`))
			}
		case frame := <-frames:
			heard = time.Now()
			switch frame.Type {
			case "WELCOME":
				welcomed = true
				send(c.room.Join())
				for _, text := range c.room.Unacknowledged() {
					send(text)
				}
			case "RECONNECT":
				var slot struct {
					AfterMs int64 `json:"after_ms"`
				}
				_ = json.Unmarshal(frame.Payload, &slot)
				reconnect = time.After(time.Duration(slot.AfterMs) * time.Millisecond)
			case "ERROR":
				c.refused(ctx, frame, send)
			default:
				c.take(frame)
			}
		}
	}
}

// take handles what concerns the room.
func (c *client) take(frame room.Frame) {
	if frame.Room != c.room.Name {
		return
	}
	var shown []room.Frame
	switch frame.Type {
	case "JOINED":
		if !c.room.Joined(frame) {
			fmt.Println("messages were lost here")
		}
		fmt.Println("joined", frame.Room)
	case "DROPPED":
		c.room.Dropped(frame)
		fmt.Println("messages were withheld here: we read too slowly")
	case "ACK":
		shown = c.room.Acknowledged(frame)
		fmt.Println("sent", frame.At().Seq)
	case "LEFT", "PRESENCE", "HISTORY", "RECEIPT":
	default:
		shown = c.room.Take(frame)
	}
	for _, each := range shown {
		fmt.Printf("%d %s: %s\n", each.Seq, each.Sender, each.Payload)
	}
}

// refused handles an ERROR: what may be sent again is, under the same id.
func (c *client) refused(ctx context.Context, frame room.Frame, send func([]byte)) {
	if frame.RetryAfterMs > 0 {
		c.wait = time.Duration(frame.RetryAfterMs) * time.Millisecond
	}
	text := c.room.Frame(frame.Ref)
	if text == nil {
		fmt.Println(frame.Code, frame.Message)
		return
	}
	if !frame.Retry {
		c.room.Forget(frame.Ref)
		fmt.Println("not sent:", frame.Code, frame.Message)
		return
	}
	wait := max(c.wait, base)
	c.wait = 0
	time.AfterFunc(wait, func() {
		if ctx.Err() == nil {
			send(text)
		}
	})
}

func read(ctx context.Context, socket Socket, frames chan<- room.Frame, failed chan<- error) {
	for {
		text, err := socket.Read(ctx)
		if err != nil {
			failed <- err
			return
		}
		var frame room.Frame
		if json.Unmarshal(text, &frame) != nil {
			continue
		}
		select {
		case frames <- frame:
		case <-ctx.Done():
			return
		}
	}
}

func typed() chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			lines <- input.Text()
		}
	}()
	return lines
}
