package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
)

// A load is all clients, rooms and senders of one run, and the count of what became of every message.
type load struct {
	*loop
	options options
	driver  driver
	nodes   []*url.URL
	groups  []group
	random  *rand.Rand
	backend backend

	conns   []*conn
	rooms   []*room
	senders []*sender

	waiting  []*conn // to be dialled
	dialling int
	ready    int
	storming bool

	toll      toll
	addressed int // deliveries that were to be made, those of refused messages too
	missing   int // deliveries that are no longer waited for
	times     histogram
	underWay  int
	window    int // 0: not saturating
	cursor    int
	swept     uint64
	gap       float64 // ns between messages; 0: not pacing
	due       float64
	onSettled func(c *conn, recovered bool)
}

const (
	second  = uint64(1e9)
	giveUp  = 5 * second
	opening = 64 // handshakes at a time
)

// settleFor is how long nothing may arrive before what is missing counts as lost.
var settleFor = 4 * second

func newLoad(o options) (*load, error) {
	events, err := newLoop()
	if err != nil {
		return nil, err
	}
	l := &load{loop: events, options: o, random: rand.New(rand.NewPCG(o.seed, 1))}
	if l.driver, err = newDriver(o.driver, manner{resume: o.mode == "storm", notify: o.mode == "notify"}); err != nil {
		return nil, err
	}
	for _, text := range o.urls {
		node, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		l.nodes = append(l.nodes, node)
	}
	l.groups, err = parseGroups(o.watch)
	return l, err
}

// client creates a connection to the next node in turn and queues it for dialling. in is nil for one that receives nothing.
func (l *load) client(in *room) *conn {
	number := len(l.conns)
	c := &conn{
		loop: l.loop, owner: l, driver: l.driver, node: l.nodes[number%len(l.nodes)], fd: -1,
		user: "u" + strconv.Itoa(number), room: in,
	}
	if in != nil {
		c.index = len(in.members)
		in.members = append(in.members, c)
	}
	l.conns = append(l.conns, c)
	l.waiting = append(l.waiting, c)
	return c
}

func (l *load) newRoom(name string) *room {
	r := &room{id: uint32(len(l.rooms)), name: name}
	l.rooms = append(l.rooms, r)
	return r
}

// speaker makes c (nil: the backend) a sender of the room.
func (l *load) speaker(r *room, c *conn) {
	s := &sender{conn: c, room: r, index: uint32(len(r.senders))}
	r.senders = append(r.senders, s)
	l.senders = append(l.senders, s)
}

// open connects all clients and returns once they are in their rooms.
func (l *load) open() error {
	ring := max(8, 4*l.options.window/max(1, len(l.senders)))
	for _, s := range l.senders {
		s.slots = make([]slot, ring)
	}
	for _, r := range l.rooms {
		r.tracks = make([]track, len(r.members)*len(r.senders))
	}
	return l.opened(60 * second)
}

func (l *load) opened(patience uint64) error {
	deadline := now() + patience
	if err := l.until(func() bool { return l.ready == len(l.conns) }, deadline); err != nil {
		return err
	}
	if l.ready < len(l.conns) {
		return fmt.Errorf("%d of %d connections are not in their rooms: %v", len(l.conns)-l.ready, len(l.conns), l.toll.Reasons)
	}
	return nil
}

// until runs the loop until the condition holds or the deadline has passed.
func (l *load) until(done func() bool, deadline uint64) error {
	for !done() {
		at := now()
		if at >= deadline {
			return nil
		}
		for len(l.waiting) > 0 && l.dialling < opening {
			next := l.waiting[0]
			l.waiting = l.waiting[1:]
			l.dialling++
			next.dial()
		}
		if err := l.pump(at); err != nil {
			return err
		}
		if err := l.turn(); err != nil {
			return err
		}
		if l.backend != nil {
			if err := l.backend.err(); err != nil {
				return fmt.Errorf("the backend's publisher: %w", err)
			}
		}
	}
	return nil
}

// sleep runs the loop for some seconds.
func (l *load) sleep(seconds float64) error {
	return l.until(func() bool { return false }, now()+uint64(seconds*1e9))
}

// pump sends what is due.
func (l *load) pump(at uint64) error {
	if l.window > 0 {
		if at-l.swept > second {
			l.swept = at
			for _, s := range l.senders {
				given := s.abandon(at - giveUp)
				l.underWay -= given
				l.toll.Stalled += given
			}
		}
		l.fill()
	}
	if l.gap == 0 {
		return nil
	}
	for l.due <= float64(at) {
		l.say(l.nextSender(), uint64(l.due))
		if l.options.poisson {
			l.due += l.random.ExpFloat64() * l.gap
		} else {
			l.due += l.gap
		}
	}
	return l.wake(uint64(l.due))
}

func (l *load) nextSender() *sender {
	if l.options.poisson && l.window == 0 {
		return l.senders[l.random.IntN(len(l.senders))]
	}
	l.cursor = (l.cursor + 1) % len(l.senders)
	return l.senders[l.cursor]
}

// fill tops up the messages in flight to the window.
func (l *load) fill() {
	for tried := 0; l.underWay < l.window && tried < len(l.senders); {
		s := l.nextSender()
		if !s.free() {
			tried++
			continue
		}
		tried = 0
		at := now()
		l.say(s, at)
		s.began(at)
		l.underWay++
	}
}

func (l *load) say(s *sender, at uint64) {
	s.number++
	l.toll.Sent++
	l.toll.Expected += len(s.room.members)
	l.addressed += len(s.room.members)
	var space [256]byte
	mark := stamp{s.room.id, s.index, s.number, at}
	body := appendBody(space[:0], mark, l.options.payload)
	if s.conn != nil {
		l.driver.publish(s.conn, s.room.name, mark, body)
	} else {
		l.backend.send(s.room.name, s.room.members[0].user, body)
	}
}

// settle waits until everything has arrived, or nothing has for some seconds. What is missing then is not waited for again.
func (l *load) settle() error {
	for {
		before := l.toll.Delivered
		done := func() bool { return l.toll.Delivered+l.missing >= l.toll.Expected }
		err := l.until(done, now()+settleFor)
		if err == nil && !done() && l.toll.Delivered > before {
			continue
		}
		l.missing = max(0, l.toll.Expected-l.toll.Delivered)
		return err
	}
}

func (l *load) onReady(c *conn, recovered bool) {
	l.ready++
	l.dialling--
	if l.onSettled != nil {
		l.onSettled(c, recovered)
	}
}

func (l *load) onBody(c *conn, s stamp) {
	if c.room == nil || s.room != c.room.id || int(s.sender) >= len(c.room.senders) || s.number > c.room.senders[s.sender].number {
		l.toll.Stray++
		return
	}
	switch c.room.track(c.index, s.sender).take(s.number) {
	case doubled:
		l.toll.Doubled++
		return
	case late:
		l.toll.Disordered++
	}
	l.toll.Delivered++
	l.times.add(now() - s.at)
	if from := c.room.senders[s.sender]; l.window > 0 || l.underWay > 0 {
		if from.arrived(s.number) {
			l.underWay--
			l.fill()
		}
	}
}

func (l *load) onRefused(_ *conn, s stamp, known bool, why string) {
	l.toll.Refused++
	l.toll.reason(why)
	if !known || int(s.room) >= len(l.rooms) || int(s.sender) >= len(l.rooms[s.room].senders) {
		return
	}
	from := l.rooms[s.room].senders[s.sender]
	if from.refused == nil {
		from.refused = map[uint32]bool{}
	}
	if !from.refused[s.number] {
		from.refused[s.number] = true
		l.toll.Expected -= len(from.room.members)
		if one := &from.slots[s.number%uint32(len(from.slots))]; one.number == s.number && one.remaining > 0 {
			one.remaining = 0
			l.underWay--
		}
	}
}

func (l *load) onClosed(c *conn, why error) {
	if c.ready {
		l.ready--
		l.toll.Closed++
	} else {
		l.dialling--
	}
	c.ready = false
	l.toll.reason(why.Error())
	if l.storming {
		l.waiting = append(l.waiting, c) // a reconnecting client retries until it has joined
	}
}

func (l *load) close() {
	for _, c := range l.conns {
		c.drop()
	}
	if l.backend != nil {
		l.backend.close()
	}
}
