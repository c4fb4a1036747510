// Chat in the terminal, on github.com/gorilla/websocket, with compressed messages.
//
//	go run ./gorilla 'ws://127.0.0.1:8080/ws?user=ann' chat:lobby
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"warren.example/chat"
)

// socket lets one goroutine write at a time, as the library demands.
type socket struct {
	conn    *websocket.Conn
	writing sync.Mutex
}

func (s *socket) Read(context.Context) ([]byte, error) {
	_, text, err := s.conn.ReadMessage()
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return nil, chat.Closed{Code: closed.Code, Reason: closed.Text}
	}
	return text, err
}

func (s *socket) Write(ctx context.Context, text []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.conn.SetWriteDeadline(deadline)
	}
	return s.conn.WriteMessage(websocket.TextMessage, text)
}

func (s *socket) Close() {
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	_ = s.conn.Close()
}

func dial(ctx context.Context, url string) (chat.Socket, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"warren.v1"}, EnableCompression: true}
	conn, _, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(4 << 20)
	return &socket{conn: conn}, nil
}

func main() {
	if err := chat.Run(dial, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
