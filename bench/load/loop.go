package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A loop serves all connections from one thread: epoll, one shared buffer to read into, one timer. So an idle
// connection costs this tool nothing, and a delivery costs one read.
type loop struct {
	epoll  int
	timer  int
	conns  map[int32]*conn
	buffer []byte
	events []unix.EpollEvent
	due    uint64 // when the timer fires, 0: not set
}

const (
	bufferBytes    = 1 << 18
	maxBufferBytes = 1 << 26
)

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &loop{
		epoll: epoll, timer: timer, conns: map[int32]*conn{}, buffer: make([]byte, bufferBytes),
		events: make([]unix.EpollEvent, 1024),
	}
	return l, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, timer, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(timer)})
}

// wake makes turn return no later than at that time.
func (l *loop) wake(at uint64) error {
	if l.due == at {
		return nil
	}
	l.due = at
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))}
	return unix.TimerfdSettime(l.timer, unix.TFD_TIMER_ABSTIME, &spec, nil)
}

// turn waits for something to happen, at most 20 ms, and serves what is ready.
func (l *loop) turn() error {
	count, err := unix.EpollWait(l.epoll, l.events, 20)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	for _, event := range l.events[:count] {
		if event.Fd == int32(l.timer) {
			var ticks [8]byte
			_, _ = unix.Read(l.timer, ticks[:])
			l.due = 0
			continue
		}
		c := l.conns[event.Fd]
		if c == nil {
			continue // closed by an earlier event of this turn
		}
		if event.Events&unix.EPOLLOUT != 0 {
			c.writable()
		}
		if c.fd >= 0 && event.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.readable()
		}
	}
	return nil
}

func (l *loop) add(c *conn) error {
	l.conns[int32(c.fd)] = c
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(c.fd),
	})
}

func (l *loop) interest(c *conn, writing bool) {
	events := uint32(unix.EPOLLIN)
	if writing {
		events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)}); err != nil {
		c.fail(fmt.Errorf("epoll: %w", err))
	}
}

func (l *loop) remove(c *conn) {
	delete(l.conns, int32(c.fd))
	_ = unix.Close(c.fd)
}
