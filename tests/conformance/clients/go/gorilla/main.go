// A client on github.com/gorilla/websocket; see ../../README.md for what it does. `gorilla URL [none]`
package main

import (
	"errors"
	"log"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"warren.test/conformance/scenario"
)

type socket struct{ *websocket.Conn }

func (s socket) Send(text []byte) error { return s.WriteMessage(websocket.TextMessage, text) }

func (s socket) Receive() ([]byte, error) {
	_, data, err := s.ReadMessage()
	return data, err
}

func (s socket) Ping(then func()) {
	if err := s.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(5*time.Second)); err != nil {
		log.Fatal(err)
	}
	then()
}

func (s socket) Code(err error) int {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code
	}
	return 0
}

func main() {
	dialer := websocket.Dialer{Subprotocols: []string{"warren.v1"}, EnableCompression: len(os.Args) < 3}
	conn, response, err := dialer.Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	control := false
	conn.SetPongHandler(func(data string) error {
		control = data == "hello"
		return nil
	})
	scenario.Run(socket{conn}, &scenario.Seen{
		Extensions:  response.Header.Get("Sec-WebSocket-Extensions"),
		Subprotocol: conn.Subprotocol(),
		Control:     &control,
	})
}
