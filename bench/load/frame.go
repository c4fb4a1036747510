package main

import (
	"encoding/binary"
	"errors"
)

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

var (
	errFragment = errors.New("a fragmented frame, which this tool does not read")
	errMasked   = errors.New("a masked frame from a server")
)

// appendFrame appends one frame of a client. The mask is zero, which RFC 6455 allows and which leaves the bytes as they are.
func appendFrame(out []byte, opcode byte, payload []byte) []byte {
	out = append(out, 0x80|opcode)
	switch size := len(payload); {
	case size < 126:
		out = append(out, 0x80|byte(size))
	case size < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(size))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(size))
	}
	return append(append(out, 0, 0, 0, 0), payload...)
}

// cutFrame cuts the first frame off data. used is 0 if data does not contain a complete frame yet; payload shares data's memory.
func cutFrame(data []byte) (opcode byte, payload []byte, used int, err error) {
	if len(data) < 2 {
		return 0, nil, 0, nil
	}
	if data[0]&0x80 == 0 || data[0]&15 == 0 {
		return 0, nil, 0, errFragment
	}
	if data[1]&0x80 != 0 {
		return 0, nil, 0, errMasked
	}
	start, size := 2, uint64(data[1]&0x7f)
	switch size {
	case 126:
		if len(data) < 4 {
			return 0, nil, 0, nil
		}
		start, size = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case 127:
		if len(data) < 10 {
			return 0, nil, 0, nil
		}
		start, size = 10, binary.BigEndian.Uint64(data[2:])
	}
	if uint64(len(data)-start) < size {
		return 0, nil, 0, nil
	}
	return data[0] & 15, data[start : start+int(size)], start + int(size), nil
}
