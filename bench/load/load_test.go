package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A server speaks the plain protocol; relay decides what it does wrong: it gets the n-th CHAT and returns what is sent to each member.
type server struct {
	mu      sync.Mutex
	rooms   map[string][]net.Conn
	relay   func(number int, frame []byte) [][]byte
	relayed int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	connection, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	for {
		text, err := readClientFrame(buffered.Reader)
		if err != nil {
			return
		}
		s.mu.Lock()
		_, rest, _ := strings.Cut(string(text), `"room":"`)
		room, _, _ := strings.Cut(rest, `"`)
		if strings.Contains(string(text), `"type":"JOIN"`) {
			s.rooms[room] = append(s.rooms[room], connection)
			_, _ = connection.Write(serverFrame([]byte(`{"type":"JOINED"}`)))
		} else {
			s.relayed++
			for _, frame := range s.relay(s.relayed, text) {
				for _, member := range s.rooms[room] {
					_, _ = member.Write(serverFrame(frame))
				}
			}
		}
		s.mu.Unlock()
	}
}

func serverFrame(payload []byte) []byte {
	frame := appendFrame(nil, opText, payload)
	head := len(frame) - len(payload) - 4
	frame[1] &= 0x7f
	return append(frame[:head:head], payload...)
}

func readClientFrame(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int(head[1] & 0x7f)
	if size == 126 {
		long := make([]byte, 2)
		if _, err := io.ReadFull(r, long); err != nil {
			return nil, err
		}
		size = int(long[0])<<8 | int(long[1])
	}
	body := make([]byte, size+4)
	_, err := io.ReadFull(r, body)
	return body[4:], err
}

func init() { settleFor = second / 2 } // the servers in these tests answer at once

func run(t *testing.T, relay func(int, []byte) [][]byte, words ...string) report {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { _ = http.Serve(listener, &server{rooms: map[string][]net.Conn{}, relay: relay}) }()
	o, err := parse(append([]string{"-driver", "plain", "-urls", "http://" + listener.Addr().String()}, words...))
	if err != nil {
		t.Fatal(err)
	}
	r, err := measure(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func honest(_ int, frame []byte) [][]byte { return [][]byte{frame} }

// With a correct server, nothing is lost, doubled or out of order, and every delivery is counted.
func TestHonestServer(t *testing.T) {
	r := run(t, honest, "-rooms", "3", "-members", "4", "-window", "8", "-phases", "saturate:0.2,half:0.2,burst=7")
	toll := r.Toll
	if toll.Sent == 0 || toll.Delivered != 4*toll.Sent || toll.Lost+toll.Doubled+toll.Disordered+toll.Stray+toll.Stalled != 0 {
		t.Fatalf("%+v", toll)
	}
	if len(r.Results) != 3 || r.Results[2].Delivered != 28 || r.Results[1].Latency.P50 <= 0 {
		t.Fatalf("%+v", r.Results)
	}
}

// With marks, each phase but the first begins once its caller has answered the end of the one before.
func TestMarks(t *testing.T) {
	for answers, phases := range map[string]int{"\n\n": 2, "\n": 1} {
		l, err := newLoad(options{driver: "plain"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		l.options.marks, l.options.answers = true, bufio.NewReader(strings.NewReader(answers))
		results, err := l.run([]phase{{kind: "burst", repeats: 2}})
		if len(results) != phases || (err == nil) != (phases == 2) {
			t.Fatal(answers, results, err)
		}
	}
}

// A server that drops, doubles and swaps messages is detected, to the message.
func TestDishonestServer(t *testing.T) {
	var kept []byte
	relay := func(number int, frame []byte) [][]byte {
		frame = bytes.Clone(frame)
		switch number {
		case 3:
			return nil // lost
		case 5:
			return [][]byte{frame, frame} // doubled
		case 7:
			kept = frame
			return nil
		case 8:
			return [][]byte{frame, kept} // swapped
		}
		return [][]byte{frame}
	}
	r := run(t, relay, "-rooms", "1", "-members", "3", "-senders", "1", "-phases", "burst=10")
	if toll := r.Toll; toll.Sent != 10 || toll.Lost != 3 || toll.Doubled != 3 || toll.Disordered != 3 || toll.Delivered != 27 {
		t.Fatalf("%+v", toll)
	}
}

// A load curve has a point for each step that a correct server sustains; the phase that warms it up is none of them.
func TestLoadCurve(t *testing.T) {
	r := run(t, honest, "-rooms", "3", "-members", "4", "-share", "0.1", "-patience", "60", "-phases", "warm=200:0.1,step=100:0.4,step=400:0.4")
	if len(r.Results) != 3 || r.Results[0].Phase != "warm" || r.Results[0].Step != nil {
		t.Fatalf("%+v", r.Results)
	}
	for i, asked := range []float64{100, 400} {
		if s := r.Results[i+1].Step; s == nil || s.Asked != asked || !s.Sustained || s.Tries != 1 {
			t.Fatalf("%+v", s)
		}
	}
}

// A step is tried again before it counts as not sustained.
func TestLoadCurveTriesTwice(t *testing.T) {
	relay := func(number int, frame []byte) [][]byte {
		if number <= 95 { // of 100 that the first try sends
			return nil
		}
		return [][]byte{frame}
	}
	r := run(t, relay, "-rooms", "1", "-members", "2", "-share", "0.2", "-patience", "60", "-phases", "step=200:0.4,step=400:0.4")
	if len(r.Results) != 2 || r.Results[0].Step.Tries != 2 || !r.Results[0].Step.Sustained || r.Results[1].Step.Tries != 1 {
		t.Fatalf("%+v", r.Results)
	}
}

// The first step of which twice too little arrives, or arrives too late, is the last one.
func TestLoadCurveEnds(t *testing.T) {
	half := func(number int, frame []byte) [][]byte {
		if number%2 == 0 {
			return nil
		}
		return [][]byte{frame}
	}
	for name, r := range map[string]report{
		"too little": run(t, half, "-rooms", "1", "-members", "2", "-phases", "step=400:0.2,step=500:60"),
		"too late":   run(t, honest, "-rooms", "1", "-members", "2", "-patience", "1e-9", "-phases", "step=400:0.2,step=500:60"),
	} {
		if len(r.Results) != 1 || r.Results[0].Step.Asked != 400 || r.Results[0].Step.Sustained || r.Results[0].Step.Tries != 2 {
			t.Fatalf("%s: %+v", name, r.Results)
		}
	}
}

// What is lost is waited for once, and not again after each later phase.
func TestLossesAreWaitedForOnce(t *testing.T) {
	former := settleFor
	settleFor = 2 * second
	defer func() { settleFor = former }()
	relay := func(number int, frame []byte) [][]byte {
		if number == 1 {
			return nil
		}
		return [][]byte{frame}
	}
	r := run(t, relay, "-rooms", "1", "-members", "2", "-phases", "burst=2,burst=2")
	if r.Results[0].Seconds < 2 || r.Results[1].Seconds >= 2 || r.Results[1].Delivered != 4 || r.Toll.Lost != 2 {
		t.Fatalf("%+v %+v", r.Results, r.Toll)
	}
}

// In a storm, every member comes back, and messages sent meanwhile count as lost if the server keeps nothing.
func TestStorm(t *testing.T) {
	r := run(t, honest, "-mode", "storm", "-rooms", "20", "-members", "5", "-senders", "2", "-rate", "2000", "-seconds", "0.2")
	if r.Storm == nil || r.Storm.Members != 100 || r.Storm.Seconds <= 0 || r.Storm.Lost != 0 {
		t.Fatalf("%+v", r.Storm)
	}
	if r.Toll.Lost == 0 || r.Toll.Doubled != 0 || r.Toll.Expected != r.Toll.Delivered+r.Toll.Lost {
		t.Fatalf("%+v", r.Toll)
	}
}

// Idle connections are held and counted.
func TestIdle(t *testing.T) {
	r := run(t, honest, "-mode", "idle", "-rooms", "5", "-members", "10", "-seconds", "0.1")
	if r.Idle == nil || r.Idle.Connections != 150 || r.Toll.Closed != 0 {
		t.Fatalf("%+v %+v", r.Idle, r.Toll)
	}
}
