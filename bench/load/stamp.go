package main

import "bytes"

// A stamp identifies a payload: the room, the sender, the number of the sender's message, and when it was due
// (nanoseconds of CLOCK_MONOTONIC). It is plain ASCII of a fixed width, so it is found in any protocol's frame without
// decoding the frame, and needs no escaping in a JSON string.
type stamp struct {
	room   uint32
	sender uint32
	number uint32
	at     uint64
}

const (
	markLead  = "#!"
	stampSize = len(markLead) + 8 + 8 + 8 + 16
	hexDigits = "0123456789abcdef"
)

var markBytes = []byte(markLead)

func appendHex(out []byte, value uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		out = append(out, hexDigits[value>>shift&15])
	}
	return out
}

// appendBody appends a stamp, padded to size bytes (never less than the stamp needs).
func appendBody(out []byte, s stamp, size int) []byte {
	out = append(out, markLead...)
	out = appendHex(out, uint64(s.room), 8)
	out = appendHex(out, uint64(s.sender), 8)
	out = appendHex(out, uint64(s.number), 8)
	out = appendHex(out, s.at, 16)
	for filled := stampSize; filled < size; filled++ {
		out = append(out, 'x')
	}
	return out
}

func readHex(text []byte) (uint64, bool) {
	var value uint64
	for _, digit := range text {
		switch {
		case digit >= '0' && digit <= '9':
			value = value<<4 | uint64(digit-'0')
		case digit >= 'a' && digit <= 'f':
			value = value<<4 | uint64(digit-'a'+10)
		default:
			return 0, false
		}
	}
	return value, true
}

// nextStamp finds the first stamp in text. It returns what follows it; ok is false if there is none.
func nextStamp(text []byte) (s stamp, rest []byte, ok bool) {
	for {
		at := bytes.Index(text, markBytes)
		if at < 0 || len(text)-at < stampSize {
			return stamp{}, nil, false
		}
		digits := text[at+len(markLead) : at+stampSize]
		room, good1 := readHex(digits[:8])
		sender, good2 := readHex(digits[8:16])
		number, good3 := readHex(digits[16:24])
		when, good4 := readHex(digits[24:])
		if good1 && good2 && good3 && good4 {
			return stamp{uint32(room), uint32(sender), uint32(number), when}, text[at+stampSize:], true
		}
		text = text[at+len(markLead):]
	}
}
