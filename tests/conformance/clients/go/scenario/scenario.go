// Package scenario is what each client does; see ../../README.md.
package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Seen is what a client has seen.
type Seen struct {
	Extensions  string `json:"extensions"`
	Subprotocol string `json:"subprotocol"`
	Ack         int    `json:"ack"`
	Chat        int    `json:"chat"`
	Pong        string `json:"pong"`
	Control     *bool  `json:"control"`
	Code        int    `json:"code"`
}

// Socket is a connection of either library.
type Socket interface {
	Send(text []byte) error
	Receive() ([]byte, error)
	// Ping sends a ping, notes in Seen whether its pong comes, and calls then, at once or when it has come; pongs are read by Receive.
	Ping(then func())
	// Code is the code of the close frame in an error of Receive, 0 where it has none.
	Code(err error) int
}

type message struct {
	Type          string `json:"type"`
	Room          string `json:"room,omitempty"`
	ID            string `json:"id,omitempty"`
	Ref           string `json:"ref,omitempty"`
	Payload       any    `json:"payload,omitempty"`
	IncludeSender bool   `json:"include_sender,omitempty"`
}

// Run does it, and prints what was seen.
func Run(socket Socket, seen *Seen) {
	text := strings.Repeat("warren ", 15_000)[:100_000]
	send := func(m message) {
		data, err := json.Marshal(m)
		check(err)
		check(socket.Send(data))
	}
	until := func(types ...string) {
		missing := map[string]bool{}
		for _, each := range types {
			missing[each] = true
		}
		for len(missing) > 0 {
			data, err := socket.Receive()
			check(err)
			var m message
			check(json.Unmarshal(data, &m))
			switch {
			case m.Type == "ACK":
				seen.Ack++
			case m.Type == "PONG":
				seen.Pong = m.Ref
			case m.Type == "CHAT" && m.Payload == text:
				seen.Chat++
			}
			delete(missing, m.Type)
		}
	}
	until("WELCOME")
	send(message{Type: "JOIN", Room: "matrix", ID: "j"})
	until("JOINED")
	for _, id := range []string{"c1", "c2"} {
		send(message{Type: "CHAT", Room: "matrix", ID: id, Payload: text, IncludeSender: true})
		until("ACK", "CHAT")
	}
	socket.Ping(func() { send(message{Type: "PING", ID: "p"}) })
	until("PONG")
	check(socket.Send([]byte(strings.Repeat("x", 300_000))))
	for {
		if _, err := socket.Receive(); err != nil {
			seen.Code = socket.Code(err)
			break
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(seen))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
