// Package room is what a client of Warren must remember of one room, so that it shows each message once and in order, and says so where
// some were lost. It does no I/O: frames go in, what is to be shown and sent comes out. docs/protocol.md, "Order and position", is its rule.
package room

import (
	"encoding/json"
	"fmt"
)

// Position in a room: seq counts 1, 2, 3 … in an epoch.
type Position struct {
	Epoch string `json:"epoch"`
	Seq   int64  `json:"seq"`
}

// Frame is what the server sends: the fields that this client reads.
type Frame struct {
	Type         string          `json:"type"`
	Room         string          `json:"room"`
	ID           string          `json:"id"`
	Ref          string          `json:"ref"`
	Epoch        string          `json:"epoch"`
	Seq          int64           `json:"seq"`
	Sender       string          `json:"sender"`
	Code         string          `json:"code"`
	Message      string          `json:"message"`
	Retry        bool            `json:"retry"`
	RetryAfterMs int64           `json:"retry_after_ms"`
	Payload      json.RawMessage `json:"payload"`
}

// At returns the position in an ACK; seq 0: the message is not numbered.
func (f Frame) At() Position {
	var at Position
	_ = json.Unmarshal(f.Payload, &at)
	return at
}

// Room is one room of one client.
type Room struct {
	Name     string
	position *Position
	known    int64          // seqs up to this one may be missing: the server has said so
	own      map[int64]bool // seqs of our own messages, which come in ACKs
	held     []Frame        // what came after a seq that is missing
	waiting  []outgoing     // what is not acknowledged yet, in order
	joins    int
}

type outgoing struct {
	id    string
	frame []byte
}

// New returns a room that was never joined.
func New(name string) *Room { return &Room{Name: name, own: map[int64]bool{}} }

// Join returns the JOIN for it, with the position up to which we have seen it.
func (r *Room) Join() []byte {
	payload := map[string]any{}
	if r.position != nil {
		payload["since"] = r.position
	}
	r.held = nil // comes again
	r.joins++
	return encode(map[string]any{"type": "JOIN", "room": r.Name, "id": fmt.Sprintf("join-%d", r.joins), "payload": payload})
}

// Say returns a message's frame, and keeps it until it is acknowledged. The id makes repeats harmless.
func (r *Room) Say(id, text string) []byte {
	payload := map[string]any{"text": text}
	frame := encode(map[string]any{"type": "CHAT", "room": r.Name, "id": id, "payload": payload})
	r.waiting = append(r.waiting, outgoing{id, frame})
	return frame
}

// Unacknowledged returns all that is to be sent again after a reconnect.
func (r *Room) Unacknowledged() [][]byte {
	frames := make([][]byte, 0, len(r.waiting))
	for _, each := range r.waiting {
		frames = append(frames, each.frame)
	}
	return frames
}

// Frame returns the frame of a message that is not acknowledged; nil: there is none.
func (r *Room) Frame(id string) []byte {
	for _, each := range r.waiting {
		if each.id == id {
			return each.frame
		}
	}
	return nil
}

// Forget ends the wait for an ACK: the message was refused for good.
func (r *Room) Forget(id string) {
	for n, each := range r.waiting {
		if each.id == id {
			r.waiting = append(r.waiting[:n], r.waiting[n+1:]...)
			return
		}
	}
}

// Joined takes the server's answer. It returns false where messages were lost for good.
func (r *Room) Joined(frame Frame) bool {
	var at struct {
		Position
		Recovered bool  `json:"recovered"`
		Missed    int64 `json:"missed"`
	}
	if json.Unmarshal(frame.Payload, &at) != nil {
		return true
	}
	r.held = nil      // what came before it and was held back is among the missed ones
	if at.Recovered { // what follows may lack expired messages, and nothing else
		r.known = max(r.known, at.Seq+at.Missed)
		return true
	}
	isFirst := r.position == nil
	r.position, r.known, r.own = &at.Position, 0, map[int64]bool{}
	return isFirst
}

// Dropped takes the server's word that we read too slowly: seqs up to this one may be missing.
func (r *Room) Dropped(frame Frame) {
	var upto struct {
		Seq int64 `json:"seq"`
	}
	if json.Unmarshal(frame.Payload, &upto) == nil {
		r.known = max(r.known, upto.Seq)
	}
}

// Acknowledged takes the ACK of a message of our own, and returns what it lets us show.
func (r *Room) Acknowledged(frame Frame) []Frame {
	r.Forget(frame.Ref)
	at := frame.At()
	if r.position != nil && at.Epoch == r.position.Epoch && at.Seq > r.position.Seq {
		r.own[at.Seq] = true
	}
	return r.next()
}

// Take takes a message, and returns what is to be shown: nothing where it is a repeat, or where one before it is missing.
func (r *Room) Take(frame Frame) []Frame {
	if frame.Seq == 0 { // not numbered: TYPING, for example
		return []Frame{frame}
	}
	r.held = append(r.held, frame)
	return r.next()
}

// Gap says that something is missing. Own messages explain it, once their ACKs are there; so wait a second, and then send Join again.
func (r *Room) Gap() bool { return len(r.held) > 0 }

// next shows what stands at the position, and moves it.
func (r *Room) next() []Frame {
	var shown []Frame
	if r.position == nil {
		return nil
	}
	for len(r.held) > 0 {
		first := r.held[0]
		if first.Epoch != r.position.Epoch {
			return shown // no JOINED has announced it
		}
		for r.own[r.position.Seq+1] || (r.position.Seq+1 <= r.known && r.position.Seq+1 < first.Seq) {
			r.position.Seq++
			delete(r.own, r.position.Seq)
		}
		if first.Seq > r.position.Seq+1 {
			return shown
		}
		r.held = r.held[1:]
		if first.Seq == r.position.Seq+1 {
			r.position.Seq++
			shown = append(shown, first)
		}
	}
	for r.own[r.position.Seq+1] {
		r.position.Seq++
		delete(r.own, r.position.Seq)
	}
	return shown
}

func encode(message map[string]any) []byte {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // strings, numbers and maps of them
	}
	return text
}
