package main

import (
	"fmt"
	"slices"
)

// A recovery is the result of a storm: all members' sockets are dropped at once while others continue to send to their rooms.
type recovery struct {
	Members     int                `json:"members"`
	Seconds     float64            `json:"seconds"` // until the last one was back in its room
	P50         float64            `json:"p50_seconds"`
	P99         float64            `json:"p99_seconds"`
	Unrecovered int                `json:"unrecovered"` // were told that messages may be missing, or their protocol can't tell
	Retries     int                `json:"retries"`     // connections that failed and were tried again
	Sent        int                `json:"sent_meanwhile"`
	Lost        int                `json:"lost_before"` // missing already before the storm
	CPU         map[string]float64 `json:"cpu_seconds"`
}

func (l *load) storm(o options) (*recovery, []result, error) {
	calm, err := l.pace("calm", o.rate, o.seconds)
	if err != nil {
		return nil, nil, err
	}
	results := []result{calm}
	var members []*conn
	for _, r := range l.rooms {
		members = append(members, r.members...)
	}
	found := &recovery{Members: len(members), Lost: lost(l.rooms), CPU: map[string]float64{}}
	var times []float64
	began := now()
	l.onSettled = func(_ *conn, recovered bool) {
		times = append(times, float64(now()-began)/1e9)
		if !recovered {
			found.Unrecovered++
		}
	}
	l.gap, l.due = 1e9/o.rate, float64(began)
	before := l.mark()
	l.storming = true
	for _, c := range members {
		c.drop()
		l.ready--
		c.phase = 1
	}
	l.waiting = append(l.waiting, members...)
	closed := l.toll.Closed
	if err := l.opened(120 * second); err != nil {
		return found, results, err
	}
	after := l.mark()
	found.Seconds = float64(after.at-began) / 1e9
	found.Sent = after.sent - before.sent
	found.Retries = l.toll.Closed - closed
	for i, g := range l.groups {
		found.CPU[g.name] = after.cpu[i] - before.cpu[i]
	}
	slices.Sort(times)
	if len(times) != len(members) {
		return found, results, fmt.Errorf("%d of %d came back once", len(times), len(members))
	}
	found.P50, found.P99 = times[len(times)/2], times[len(times)*99/100]
	l.gap, l.storming = 0, false
	err = l.settle()
	if err == nil {
		calm, err = l.pace("after", o.rate, o.seconds)
		results = append(results, calm)
	}
	return found, results, err
}

// A rest is the cost of idle connections.
type rest struct {
	Connections int                `json:"connections"`
	KiB         map[string]float64 `json:"kib_per_connection"`
	Share       map[string]float64 `json:"cpu_share"`
	RSS         map[string]float64 `json:"rss_mib"`
}

const firstFew = 100 // one-time allocations are not part of a connection's cost

func (l *load) idle(o options) (*rest, error) {
	grow := func(to int) error {
		for len(l.conns) < to {
			r := l.newRoom(o.prefix + fmt.Sprint(len(l.rooms)))
			for range o.members {
				l.client(r)
			}
		}
		return l.open()
	}
	if err := grow(firstFew); err != nil {
		return nil, err
	}
	if err := l.sleep(2); err != nil {
		return nil, err
	}
	first := len(l.conns)
	var before []int64
	for _, g := range l.groups {
		before = append(before, g.rssBytes())
	}
	if err := grow(first + o.rooms*o.members); err != nil {
		return nil, err
	}
	if err := l.sleep(2); err != nil {
		return nil, err
	}
	more := float64(len(l.conns) - first)
	found := &rest{Connections: len(l.conns), KiB: map[string]float64{}, Share: map[string]float64{}, RSS: map[string]float64{}}
	m := l.mark()
	if err := l.sleep(o.seconds); err != nil {
		return nil, err
	}
	n := l.mark()
	for i, g := range l.groups {
		used := g.rssBytes()
		found.KiB[g.name] = float64(used-before[i]) / more / 1024
		found.RSS[g.name] = float64(used) / (1 << 20)
		found.Share[g.name] = (n.cpu[i] - m.cpu[i]) / (float64(n.at-m.at) / 1e9)
	}
	return found, nil
}
