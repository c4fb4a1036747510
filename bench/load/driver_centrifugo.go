package main

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// centrifugoDriver speaks Centrifugo's bidirectional JSON protocol. A frame holds one or more lines of JSON.
type centrifugoDriver struct{ manner }

func (d *centrifugoDriver) path(*conn) string   { return "/connection/websocket" }
func (d *centrifugoDriver) subprotocol() string { return "" }
func (d *centrifugoDriver) opened(c *conn)      { c.say([]byte(`{"id":1,"connect":{}}`)) }

func (d *centrifugoDriver) heard(c *conn, text []byte) {
	for len(text) > 0 {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		d.line(c, line)
	}
}

func (d *centrifugoDriver) line(c *conn, line []byte) {
	if bytes.HasPrefix(line, []byte(`{"push":`)) {
		if c.bodies(line) && d.resume {
			if offset, ok := numberAfter(line, `"offset":`); ok {
				c.offset = max(c.offset, offset)
			}
		}
		return
	}
	if len(line) == 2 { // {}: a ping, answered with the same
		c.say([]byte("{}"))
		return
	}
	if len(line) == 0 || (c.ready && !bytes.Contains(line, []byte(`"error":`))) {
		return // the answer to a publish
	}
	var reply struct {
		Error   json.RawMessage
		Connect *struct{}
		// a subscribe reply carries the missed messages
		Subscribe *struct {
			Epoch     string
			Offset    uint64
			Recovered bool
		}
	}
	if err := json.Unmarshal(line, &reply); err != nil || reply.Error != nil {
		c.owner.onRefused(c, stamp{}, false, clip(line))
		return
	}
	switch {
	case reply.Connect != nil && c.room == nil:
		c.settled(true)
	case reply.Connect != nil:
		c.say([]byte(d.subscription(c)))
	case reply.Subscribe != nil:
		c.bodies(line)
		if d.resume {
			c.position, c.offset = reply.Subscribe.Epoch, reply.Subscribe.Offset
		}
		c.settled(reply.Subscribe.Recovered)
	}
}

func (d *centrifugoDriver) subscription(c *conn) string {
	text := `{"id":2,"subscribe":{"channel":"` + c.room.name + `"`
	if c.position != "" {
		text += `,"recover":true,"epoch":"` + c.position + `","offset":` + strconv.FormatUint(c.offset, 10)
	}
	return text + "}}"
}

func (d *centrifugoDriver) publish(c *conn, room string, _ stamp, body []byte) {
	text := make([]byte, 0, len(body)+96)
	text = append(text, `{"id":3,"publish":{"channel":"`...)
	text = append(text, room...)
	text = append(text, `","data":"`...)
	text = append(text, body...)
	text = append(text, `"}}`...)
	c.say(text)
}
