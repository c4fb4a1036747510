package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// Stamps are found in any text, however many there are, and lookalikes are not.
func TestStamp(t *testing.T) {
	first, second := stamp{1, 2, 3, 4}, stamp{0xffffffff, 7, 1 << 31, 1 << 63}
	text := []byte(`{"a":"#!nothing","b":"#`)
	text = append(appendBody(text, first, 90), "\"},\n{#!0"...)
	text = appendBody(text, second, 0)
	got, rest, ok := nextStamp(text)
	if !ok || got != first {
		t.Fatal(got, ok)
	}
	got, rest, ok = nextStamp(rest)
	if !ok || got != second || len(rest) != 0 {
		t.Fatal(got, ok, rest)
	}
	if _, _, ok = nextStamp(rest); ok {
		t.Fatal("one too many")
	}
	if body := appendBody(nil, first, 200); len(body) != 200 {
		t.Fatal(len(body))
	}
}

// Frames of every size are cut at their end, and never before they are complete.
func TestFrames(t *testing.T) {
	for _, size := range []int{0, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte{'y'}, size)
		frame := serverFrame(payload)
		for _, short := range []int{0, 1, 2, len(frame) - 1} {
			if short < len(frame) {
				if _, _, used, err := cutFrame(frame[:short]); used != 0 || err != nil {
					t.Fatal(size, short, used, err)
				}
			}
		}
		opcode, got, used, err := cutFrame(append(frame, 0x81))
		if opcode != opText || !bytes.Equal(got, payload) || used != len(frame) || err != nil {
			t.Fatal(size, opcode, len(got), used, err)
		}
	}
	if _, _, _, err := cutFrame([]byte{0x01, 0}); err != errFragment {
		t.Fatal(err)
	}
	if _, _, _, err := cutFrame([]byte{0x81, 0x80, 0, 0, 0, 0}); err != errMasked {
		t.Fatal(err)
	}
}

// Quantiles are within 1/64 of the exact ones, and the maximum is exact.
func TestHistogram(t *testing.T) {
	var h histogram
	random := rand.New(rand.NewPCG(1, 2))
	var all []uint64
	for range 50_000 {
		value := uint64(random.ExpFloat64() * 5e6)
		all = append(all, value)
		h.add(value)
	}
	total := 0.0
	for _, value := range all {
		total += float64(value)
	}
	if mean, exact := h.latency().Mean, total/50_000/1e6; mean < exact*0.999999 || mean > exact*1.000001 {
		t.Fatal(mean, exact)
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.99, 0.999} {
		exact := float64(all[int(q*float64(len(all)))-1])
		if got := float64(h.quantile(q)); got < exact || got > exact*(1+1.0/32) {
			t.Fatal(q, got, exact)
		}
	}
	if h.max != all[len(all)-1] || h.quantile(1) != h.max || (&histogram{}).quantile(0.5) != 0 {
		t.Fatal(h.max)
	}
	for _, value := range []uint64{0, 63, 64, 65, 1 << 20, 1<<40 + 12345, 1<<64 - 1} {
		if top := bucketTop(bucketOf(value)); top < value {
			t.Fatal(value, top)
		}
	}
}

// Phases are parsed as documented, and anything else is refused.
func TestPhases(t *testing.T) {
	for text, want := range map[string]phase{
		"saturate:3x2": {kind: "saturate", seconds: 3, repeats: 2},
		"half:1.5":     {kind: "half", seconds: 1.5, repeats: 1},
		"pace=20:6":    {kind: "pace", rate: 20, seconds: 6, repeats: 1},
		"warm=500:1":   {kind: "warm", rate: 500, seconds: 1, repeats: 1},
		"step=100:0.5": {kind: "step", rate: 100, seconds: 0.5, repeats: 1},
		"burst=500x5":  {kind: "burst", count: 500, repeats: 5},
	} {
		if got, err := parsePhase(text); err != nil || got != want {
			t.Fatal(text, got, err)
		}
	}
	for _, text := range []string{"", "saturate", "saturate:0", "saturate:3x0", "half=3:1", "pace:3", "pace=0:3", "burst=0", "burst:5", "rest:1", "step:3", "step=0:3", "warm=5"} {
		if got, err := parsePhase(text); err == nil {
			t.Fatal(text, got)
		}
	}
}

// The CPU time of a process is parsed from its line even if its name contains blanks and brackets.
func TestStat(t *testing.T) {
	if got := statSeconds("7 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0"); got != 2 {
		t.Fatal(got)
	}
}

// A message's id is a reference that leads back to it.
func TestReference(t *testing.T) {
	if got, ok := refOf("a-1-zz"); !ok || got != (stamp{room: 10, sender: 1, number: 35*36 + 35}) {
		t.Fatal(got, ok)
	}
	if _, ok := refOf("~x.1"); ok {
		t.Fatal("not one of ours")
	}
}

// What goes to Redis for Socket.IO equals the MessagePack of its emitter.
func TestEmitter(t *testing.T) {
	channel, message := socketioCommand(job{room: "r", body: []byte("b")})
	want := "\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa4said\xa1b\xa3nsp\xa1/\x83\xa5rooms\x91\xa1r\xa5flags\x80\xa6except\x90"
	if channel != "socket.io#/#r#" || string(message) != want {
		t.Fatalf("%q %q", channel, message)
	}
}
