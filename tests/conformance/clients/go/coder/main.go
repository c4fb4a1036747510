// A client on github.com/coder/websocket; see ../../README.md for what it does. `coder URL [none|takeover]`
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/coder/websocket"

	"warren.test/conformance/scenario"
)

type socket struct {
	conn *websocket.Conn
	ctx  context.Context
	seen *scenario.Seen
}

func (s socket) Send(text []byte) error { return s.conn.Write(s.ctx, websocket.MessageText, text) }

func (s socket) Receive() ([]byte, error) {
	_, data, err := s.conn.Read(s.ctx)
	return data, err
}

// Ping waits in a goroutine, as the library reads pongs within Read.
func (s socket) Ping(then func()) {
	go func() {
		*s.seen.Control = s.conn.Ping(s.ctx) == nil
		then()
	}()
}

func (s socket) Code(err error) int { return max(int(websocket.CloseStatus(err)), 0) }

func main() {
	mode := websocket.CompressionNoContextTakeover
	if len(os.Args) > 2 {
		mode = map[string]websocket.CompressionMode{
			"none": websocket.CompressionDisabled, "takeover": websocket.CompressionContextTakeover,
		}[os.Args[2]]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, os.Args[1], &websocket.DialOptions{
		Subprotocols: []string{"warren.v1"}, CompressionMode: mode,
	})
	if err != nil {
		log.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	control := false
	seen := &scenario.Seen{
		Extensions: response.Header.Get("Sec-WebSocket-Extensions"), Subprotocol: conn.Subprotocol(), Control: &control,
	}
	scenario.Run(socket{conn, ctx, seen}, seen)
}
