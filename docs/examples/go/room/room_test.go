package room

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func at(seq int64, recovered bool, missed int64, epoch string) Frame {
	payload := fmt.Sprintf(`{"epoch":%q,"seq":%d,"recovered":%t,"missed":%d}`, epoch, seq, recovered, missed)
	return Frame{Type: "JOINED", Payload: json.RawMessage(payload)}
}

func message(seq int64) Frame { return Frame{Type: "CHAT", Epoch: "e", Seq: seq} }

func ack(id string, seq int64) Frame {
	return Frame{Type: "ACK", Ref: id, Payload: json.RawMessage(fmt.Sprintf(`{"epoch":"e","seq":%d}`, seq))}
}

func shown(t *testing.T, got []Frame, want ...int64) {
	t.Helper()
	var seqs []int64
	for _, frame := range got {
		seqs = append(seqs, frame.Seq)
	}
	if fmt.Sprint(seqs) != fmt.Sprint(want) && len(seqs)+len(want) > 0 {
		t.Fatalf("shown %v, not %v", seqs, want)
	}
}

// The example of docs/protocol.md, "Order and position".
func TestTheExampleOfTheProtocol(t *testing.T) {
	r := New("chat:lobby")
	r.Joined(at(11, false, 0, "e"))
	shown(t, r.Take(message(12)), 12)
	r.Say("x", "13th")
	shown(t, r.Acknowledged(ack("x", 13)))
	shown(t, r.Take(message(14)), 14)
	shown(t, r.Take(message(14)))
	shown(t, r.Take(message(17)))
	if !r.Gap() || !strings.Contains(string(r.Join()), `"since":{"epoch":"e","seq":14}`) {
		t.Fatal("a gap is not told with the position")
	}
	shown(t, r.Take(message(18))) // before JOINED, so it comes again
	r.Joined(at(14, true, 4, "e"))
	shown(t, append(append(r.Take(message(15)), r.Take(message(16))...), append(r.Take(message(17)), r.Take(message(18))...)...), 15, 16, 17, 18)
	if r.Gap() {
		t.Fatal("a gap remains")
	}
}

func TestAnAckThatIsLateExplainsAGap(t *testing.T) {
	r := New("chat:lobby")
	r.Joined(at(1, false, 0, "e"))
	r.Say("x", "2nd")
	shown(t, r.Take(message(3)))
	shown(t, r.Acknowledged(ack("x", 2)), 3)
	if r.Gap() || len(r.Unacknowledged()) != 0 {
		t.Fatal("something is left")
	}
}

func TestWhatTheServerWithheldIsNoGap(t *testing.T) {
	r := New("chat:lobby")
	r.Joined(at(1, false, 0, "e"))
	r.Dropped(Frame{Payload: json.RawMessage(`{"count":3,"seq":4}`)})
	shown(t, r.Take(message(5)), 5)
	shown(t, r.Take(message(7)))
}

func TestANewEpochIsToldAndBeginsAnew(t *testing.T) {
	r := New("chat:lobby")
	if !r.Joined(at(5, false, 0, "e")) || r.Joined(at(0, false, 0, "f")) {
		t.Fatal("only the second one is a loss")
	}
	shown(t, r.Take(message(6))) // of the epoch that is over
	r.Joined(at(0, false, 0, "f"))
	shown(t, r.Take(Frame{Epoch: "f", Seq: 1}), 1)
}
