package main

import "fmt"

// A driver speaks one client protocol. It keeps its state in the conn, so one serves all connections.
//
// After opened, a driver joins the connection to its room (if it has one) and calls settled; it passes each
// payload that it receives to bodies, and answers the protocol's own pings.
type driver interface {
	path(c *conn) string
	subprotocol() string
	opened(c *conn)
	heard(c *conn, text []byte)
	// publish sends body (which needs no escaping in JSON) to a room of which c need not be a member, and asks for its own copy.
	publish(c *conn, room string, s stamp, body []byte)
}

// manner is what a run asks of its driver.
type manner struct {
	resume bool // keep positions and resume from them; ask the server for history if room names decide that
	notify bool // members are addressed by user, not by a room they join
}

func newDriver(name string, m manner) (driver, error) {
	switch name {
	case "warren":
		return &warrenDriver{manner: m}, nil
	case "socketio":
		return &socketioDriver{}, nil
	case "centrifugo":
		return &centrifugoDriver{manner: m}, nil
	case "plain":
		return &plainDriver{}, nil
	}
	return nil, fmt.Errorf("--driver %s: warren, socketio, centrifugo or plain", name)
}

func clip(text []byte) string { return string(text[:min(len(text), 300)]) }
