// Chat in the terminal, on github.com/coder/websocket, with compressed messages.
//
//	go run ./coder 'ws://127.0.0.1:8080/ws?user=ann' chat:lobby
package main

import (
	"context"
	"errors"
	"log"
	"os"

	"github.com/coder/websocket"

	"warren.example/chat"
)

type socket struct{ conn *websocket.Conn }

func (s socket) Read(ctx context.Context) ([]byte, error) {
	_, text, err := s.conn.Read(ctx)
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return nil, chat.Closed{Code: int(closed.Code), Reason: closed.Reason}
	}
	return text, err
}

func (s socket) Write(ctx context.Context, text []byte) error {
	return s.conn.Write(ctx, websocket.MessageText, text)
}

func (s socket) Close() { _ = s.conn.Close(websocket.StatusGoingAway, "") }

func dial(ctx context.Context, url string) (chat.Socket, error) {
	// Warren's own messages are compressed one by one (server_no_context_takeover); this has ours done so, too.
	options := &websocket.DialOptions{
		Subprotocols: []string{"warren.v1"}, CompressionMode: websocket.CompressionNoContextTakeover,
	}
	conn, _, err := websocket.Dial(ctx, url, options)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(4 << 20) // the library's own limit is 32 KiB
	return socket{conn}, nil
}

func main() {
	if err := chat.Run(dial, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
