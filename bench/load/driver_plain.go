package main

import "bytes"

// plainDriver speaks bare JSON over WebSocket, as the peer "ws + Redis" does: {"type","room","payload","timestamp","version"}.
type plainDriver struct{}

func (d *plainDriver) path(*conn) string   { return "/chat" }
func (d *plainDriver) subprotocol() string { return "" }

func (d *plainDriver) opened(c *conn) {
	if c.room == nil {
		c.settled(true)
		return
	}
	c.say([]byte(`{"type":"JOIN","room":"` + c.room.name + `","version":"1.0"}`))
}

func (d *plainDriver) heard(c *conn, text []byte) {
	switch {
	case c.bodies(text):
	case bytes.Contains(text, []byte(`"type":"JOINED"`)):
		c.settled(true)
	default:
		c.owner.onRefused(c, stamp{}, false, clip(text))
	}
}

func (d *plainDriver) publish(c *conn, room string, _ stamp, body []byte) {
	text := make([]byte, 0, len(body)+96)
	text = append(text, `{"type":"CHAT","room":"`...)
	text = append(text, room...)
	text = append(text, `","version":"1.0","payload":"`...)
	text = append(text, body...)
	text = append(text, `"}`...)
	c.say(text)
}
