package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"

	"golang.org/x/sys/unix"
)

// A conn is one WebSocket of one simulated client. It outlives its socket: after a loss the same conn dials again and
// its driver resumes from the position that it kept.
type conn struct {
	loop   *loop
	owner  owner
	driver driver
	node   *url.URL
	user   string
	room   *room
	index  int // index in its room

	fd       int
	upgraded bool
	ready    bool
	phase    int    // the driver's
	position string // the driver's: this client's position in its room, in its protocol's form
	offset   uint64
	mine     string // the driver's: the same for the client's own room
	mineSeq  uint64
	rest     []byte
	out      []byte
	dialled  uint64
}

// An owner is notified of events of connections.
type owner interface {
	onReady(c *conn, recovered bool)
	onBody(c *conn, s stamp)
	onRefused(c *conn, s stamp, known bool, why string)
	onClosed(c *conn, why error)
}

var errClosed = errors.New("closed by the server")

// dial starts to connect; the owner gets onReady or onClosed.
func (c *conn) dial() {
	c.upgraded, c.ready, c.phase, c.rest, c.out = false, false, 0, nil, nil
	c.dialled = now()
	host, text, _ := net.SplitHostPort(c.node.Host)
	port, err := strconv.Atoi(text)
	address := net.ParseIP(host).To4()
	if err != nil || address == nil {
		c.fd = -1
		c.owner.onClosed(c, fmt.Errorf("%s: an IPv4 address and a port are wanted", c.node.Host))
		return
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		c.fd = -1
		c.owner.onClosed(c, err)
		return
	}
	c.fd = fd
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	target := &unix.SockaddrInet4{Port: port}
	copy(target.Addr[:], address)
	if err := unix.Connect(fd, target); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		c.fd = -1
		c.owner.onClosed(c, err)
		return
	}
	subprotocol := ""
	if name := c.driver.subprotocol(); name != "" {
		subprotocol = "Sec-WebSocket-Protocol: " + name + "\r\n"
	}
	c.out = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: d2FycmVuIGxvYWQgdG9vbA==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
		c.driver.path(c), c.node.Host, subprotocol)
	if err := c.loop.add(c); err != nil {
		c.fail(err)
	}
}

// drop closes the socket like a lost network, and notifies nobody.
func (c *conn) drop() {
	if c.fd >= 0 {
		c.loop.remove(c)
		c.fd, c.ready = -1, false
	}
}

func (c *conn) fail(why error) {
	if c.fd >= 0 {
		c.loop.remove(c)
		c.fd = -1
		c.owner.onClosed(c, why) // which checks whether it was ready
	}
}

// say sends one text frame.
func (c *conn) say(payload []byte) { c.frame(opText, payload) }

func (c *conn) frame(opcode byte, payload []byte) {
	if c.fd < 0 {
		return
	}
	if len(c.out) > 0 {
		c.out = appendFrame(c.out, opcode, payload)
		return
	}
	var space [2048]byte
	data := appendFrame(space[:0], opcode, payload)
	count, err := unix.Write(c.fd, data)
	if err != nil && err != unix.EAGAIN {
		c.fail(err)
		return
	}
	if count = max(count, 0); count < len(data) {
		c.out = append(c.out, data[count:]...)
		c.loop.interest(c, true)
	}
}

func (c *conn) writable() {
	count, err := unix.Write(c.fd, c.out)
	if err == unix.EAGAIN {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	if c.out = c.out[count:]; len(c.out) == 0 {
		c.out = nil
		c.loop.interest(c, false)
	}
}

func (c *conn) readable() {
	l := c.loop
	held := copy(l.buffer, c.rest)
	count, err := unix.Read(c.fd, l.buffer[held:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	if count == 0 {
		c.fail(io.EOF)
		return
	}
	data := l.buffer[:held+count]
	if !c.upgraded {
		end := bytes.Index(data, []byte("\r\n\r\n"))
		if end < 0 {
			c.rest = append([]byte(nil), data...)
			return
		}
		if line, _, _ := bytes.Cut(data, []byte("\r\n")); !bytes.Contains(line, []byte(" 101")) {
			c.fail(fmt.Errorf("not upgraded: %s", line))
			return
		}
		c.upgraded = true
		data = data[end+4:]
		c.driver.opened(c)
	}
	for c.fd >= 0 {
		opcode, payload, used, err := cutFrame(data)
		if err != nil {
			c.fail(err)
			return
		}
		if used == 0 {
			break
		}
		data = data[used:]
		switch opcode {
		case opText, opBinary:
			c.driver.heard(c, payload)
		case opPing:
			c.frame(opPong, payload)
		case opClose:
			code := 1005
			if len(payload) >= 2 {
				code = int(payload[0])<<8 | int(payload[1])
			}
			c.fail(fmt.Errorf("%w with code %d", errClosed, code))
		}
	}
	if len(data) == 0 {
		c.rest = nil
		return
	}
	c.rest = append(c.rest[:0:0], data...)
	if len(c.rest) > len(l.buffer)/2 {
		if len(l.buffer) >= maxBufferBytes {
			c.fail(errors.New("a frame of more than 32 MiB"))
			return
		}
		l.buffer = make([]byte, 2*len(l.buffer))
	}
}

// settled tells the owner that the client is in its room.
func (c *conn) settled(recovered bool) {
	if !c.ready {
		c.ready = true
		c.owner.onReady(c, recovered)
	}
}

// bodies passes every stamp in text to the owner and reports whether there was one.
func (c *conn) bodies(text []byte) bool {
	found := false
	for {
		s, rest, ok := nextStamp(text)
		if !ok {
			return found
		}
		found = true
		c.owner.onBody(c, s)
		text = rest
	}
}
