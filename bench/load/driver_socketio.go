package main

import "bytes"

// socketioDriver speaks Engine.IO 4 and the Socket.IO protocol 5 over WebSocket alone (no polling first), in the
// namespace "/". The servers under bench/peers take the events "join" (acknowledged) and "say", and send "said".
type socketioDriver struct{}

func (d *socketioDriver) path(*conn) string   { return "/socket.io/?EIO=4&transport=websocket" }
func (d *socketioDriver) subprotocol() string { return "" }
func (d *socketioDriver) opened(*conn)        {}

func (d *socketioDriver) heard(c *conn, text []byte) {
	switch {
	case bytes.HasPrefix(text, []byte("42")):
		c.bodies(text)
	case len(text) == 1 && text[0] == '2':
		c.say([]byte("3"))
	case bytes.HasPrefix(text, []byte("0{")):
		c.say([]byte("40"))
	case bytes.HasPrefix(text, []byte("40")):
		if c.room == nil {
			c.settled(true)
			return
		}
		c.say([]byte(`420["join","` + c.room.name + `"]`))
	case bytes.HasPrefix(text, []byte("430")):
		c.settled(c.phase == 0)
	default:
		c.owner.onRefused(c, stamp{}, false, clip(text))
	}
}

func (d *socketioDriver) publish(c *conn, room string, _ stamp, body []byte) {
	text := make([]byte, 0, len(body)+64)
	text = append(text, `42["say","`...)
	text = append(text, room...)
	text = append(text, `","`...)
	text = append(text, body...)
	text = append(text, `"]`...)
	c.say(text)
}
