package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// warrenDriver speaks warren.v1. Each message has an id, so each is acknowledged. A client that comes back sends its
// positions, also for its own room, as the protocol requires.
type warrenDriver struct{ manner }

func (d *warrenDriver) path(c *conn) string {
	path := "/ws?user=" + url.QueryEscape(c.user)
	if c.position != "" {
		path += "&join=manual"
	}
	return path
}

func (d *warrenDriver) subprotocol() string { return "warren.v1" }
func (d *warrenDriver) opened(*conn)        {}

func (d *warrenDriver) join(c *conn, room, epoch string, seq uint64) {
	said := map[string]any{"type": "JOIN", "room": room}
	if epoch != "" {
		said["payload"] = map[string]any{"since": map[string]any{"epoch": epoch, "seq": seq}}
	}
	text, _ := json.Marshal(said)
	c.say(text)
}

func (d *warrenDriver) heard(c *conn, text []byte) {
	if c.bodies(text) {
		if d.resume {
			if seq, ok := numberAfter(text, `"seq":`); ok {
				c.offset = max(c.offset, seq)
			}
		}
		return
	}
	if bytes.Contains(text, []byte(`"type":"ACK"`)) {
		return
	}
	var said struct {
		Type    string
		Room    string
		Ref     string
		Payload json.RawMessage
	}
	if err := json.Unmarshal(text, &said); err != nil {
		c.owner.onRefused(c, stamp{}, false, "not JSON: "+clip(text))
		return
	}
	switch said.Type {
	case "WELCOME":
		if c.mine != "" {
			d.join(c, "@"+c.user, c.mine, c.mineSeq)
		}
		if c.room == nil {
			c.settled(true)
		} else if !d.notify {
			d.join(c, c.room.name, c.position, c.offset)
		}
	case "JOINED":
		var at struct {
			Epoch     string
			Seq       uint64
			Recovered bool
		}
		_ = json.Unmarshal(said.Payload, &at)
		own := said.Room == "@"+c.user
		if d.resume && own {
			c.mine, c.mineSeq = at.Epoch, at.Seq
		}
		if c.room != nil && (said.Room == c.room.name || (own && d.notify)) {
			if d.resume {
				c.position, c.offset = at.Epoch, at.Seq
			}
			c.settled(at.Recovered)
		}
	case "ERROR":
		s, known := refOf(said.Ref)
		c.owner.onRefused(c, s, known, clip(text))
	case "DROPPED", "DEGRADED":
		c.owner.onRefused(c, stamp{}, false, clip(text))
	}
}

func (d *warrenDriver) publish(c *conn, room string, s stamp, body []byte) {
	text := make([]byte, 0, len(body)+200)
	text = append(text, `{"type":"CHAT","room":"`...)
	text = append(text, room...)
	text = append(text, `","id":"`...)
	text = strconv.AppendUint(text, uint64(s.room), 36)
	text = append(text, '-')
	text = strconv.AppendUint(text, uint64(s.sender), 36)
	text = append(text, '-')
	text = strconv.AppendUint(text, uint64(s.number), 36)
	text = append(text, `","include_sender":true,"payload":"`...)
	text = append(text, body...)
	text = append(text, `"}`...)
	c.say(text)
}

// refOf parses the id that publish assigned.
func refOf(ref string) (s stamp, ok bool) {
	words := strings.Split(ref, "-")
	if len(words) != 3 {
		return stamp{}, false
	}
	var numbers [3]uint32
	for i, word := range words {
		value, err := strconv.ParseUint(word, 36, 32)
		if err != nil {
			return stamp{}, false
		}
		numbers[i] = uint32(value)
	}
	return stamp{room: numbers[0], sender: numbers[1], number: numbers[2]}, true
}

// numberAfter parses the digits after the first occurrence of key.
func numberAfter(text []byte, key string) (uint64, bool) {
	at := bytes.Index(text, []byte(key))
	if at < 0 {
		return 0, false
	}
	end := at + len(key)
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	value, err := strconv.ParseUint(string(text[at+len(key):end]), 10, 64)
	return value, err == nil
}
