// Command load puts load on a WebSocket server and counts what becomes of every message. It knows client protocols
// (warren, socketio, centrifugo, plain) and nothing of any server's code.
//
// It opens the connections, puts them into rooms, sends, and prints one JSON object. Latency is from the time a message
// was due at its sender to its arrival at a member, all in this process. Lost, doubled and out-of-order messages
// are counted for each member and sender. The exit code is 0 even if messages were lost; 1 means that it could not measure.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

type options struct {
	driver  string
	mode    string
	urls    []string
	rooms   int
	members int
	senders int
	window  int
	payload int
	poisson bool
	phases  []phase
	rate    float64
	seconds float64
	prefix  string
	backend string
	joined  int
	watch   []string
	seed    uint64
	// what a step of a load curve has to reach
	share    float64
	patience float64
	marks    bool
	answers  *bufio.Reader // where the answers to marks come from
}

type report struct {
	Driver      string    `json:"driver"`
	Mode        string    `json:"mode"`
	Connections int       `json:"connections"`
	Results     []result  `json:"results,omitempty"`
	Storm       *recovery `json:"storm,omitempty"`
	Idle        *rest     `json:"idle,omitempty"`
	Toll        toll      `json:"toll"`
	Error       string    `json:"error,omitempty"`
	Nice        int       `json:"nice"`
}

func parse(arguments []string) (options, error) {
	o := options{answers: bufio.NewReader(os.Stdin)}
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	set.StringVar(&o.driver, "driver", "warren", "warren, socketio, centrifugo or plain")
	set.StringVar(&o.mode, "mode", "rooms", "rooms, notify, idle or storm")
	urls := set.String("urls", "", "http://ADDRESS:PORT of each node, comma separated; connections take them in turn")
	set.IntVar(&o.rooms, "rooms", 10, "rooms (notify: users)")
	set.IntVar(&o.members, "members", 10, "members of each room")
	set.IntVar(&o.senders, "senders", 0, "how many of the members of each room speak; 0: all (storm: so many connections besides)")
	set.IntVar(&o.window, "window", 100, "messages kept under way in all when saturating")
	set.IntVar(&o.payload, "payload", 200, "bytes of a message's payload")
	set.BoolVar(&o.poisson, "poisson", false, "paced messages come from random senders at random times (else in turn, evenly)")
	phases := set.String("phases", "saturate:3x3,half:5", "what to do, comma separated")
	set.Float64Var(&o.rate, "rate", 200, "storm: messages a second meanwhile")
	set.Float64Var(&o.seconds, "seconds", 5, "storm: seconds of pace before and after; idle: seconds of watching")
	set.StringVar(&o.prefix, "prefix", "bench:", "what the names of rooms begin with")
	set.StringVar(&o.backend, "backend", "", "notify: amqp-warren=URL, amqp-socketio=URL, redis-socketio=ADDRESS, redis-plain=ADDRESS or http-centrifugo=URL")
	set.IntVar(&o.joined, "together", 1, "notify with amqp-warren: so many notifications in one AMQP message")
	set.Uint64Var(&o.seed, "seed", 1, "of what is random")
	set.Float64Var(&o.share, "share", 0.95, "a step is sustained if at least this part of what was sent in its time arrived in its time …")
	set.Float64Var(&o.patience, "patience", 2, "… and its p99 is at most so many seconds")
	set.BoolVar(&o.marks, "marks", false, "write begin and end of each measurement to stderr; the next phase begins once a line came on stdin")
	set.Func("watch", "NAME=PID,PID: processes whose CPU and memory are measured (more than once)", func(text string) error {
		o.watch = append(o.watch, text)
		return nil
	})
	if err := set.Parse(arguments); err != nil {
		return o, err
	}
	if *urls == "" || set.NArg() > 0 {
		return o, fmt.Errorf("load: --urls is needed, and no other words")
	}
	o.urls = strings.Split(*urls, ",")
	for _, text := range strings.Split(*phases, ",") {
		p, err := parsePhase(text)
		if err != nil {
			return o, err
		}
		o.phases = append(o.phases, p)
	}
	if o.rooms < 1 || o.members < 1 || o.senders < 0 || (o.mode == "rooms" && o.senders > o.members) || o.window < 1 {
		return o, fmt.Errorf("load: rooms, members and window are at least 1, senders 0 to members")
	}
	return o, nil
}

// prepare creates the rooms, members and senders that the mode asks for, and opens them.
func prepare(l *load) error {
	o := l.options
	var speakers []*conn
	switch o.mode {
	case "rooms", "storm":
		for number := range o.rooms {
			r := l.newRoom(o.prefix + fmt.Sprint(number))
			for range o.members {
				l.client(r)
			}
		}
		if o.mode == "storm" {
			for range max(1, o.senders) {
				speakers = append(speakers, l.client(nil))
			}
		}
		for number, r := range l.rooms {
			if speakers != nil {
				l.speaker(r, speakers[number%len(speakers)])
				continue
			}
			for index, c := range r.members {
				if o.senders == 0 || index < o.senders {
					l.speaker(r, c)
				}
			}
		}
	case "notify":
		for number := range o.rooms {
			r := l.newRoom(o.prefix + fmt.Sprint("u", number))
			l.client(r)
			l.speaker(r, nil)
		}
		var err error
		if l.backend, err = newBackend(o.backend, o.joined); err != nil {
			return err
		}
	}
	return l.open()
}

func measure(o options) (report, error) {
	r := report{Driver: o.driver, Mode: o.mode}
	l, err := newLoad(o)
	if err != nil {
		return r, err
	}
	defer l.close()
	switch o.mode {
	case "idle":
		r.Idle, err = l.idle(o)
	case "rooms", "notify":
		if err = prepare(l); err == nil {
			r.Results, err = l.run(o.phases)
		}
	case "storm":
		if err = prepare(l); err == nil {
			r.Storm, r.Results, err = l.storm(o)
		}
	default:
		err = fmt.Errorf("--mode %s: rooms, notify, idle or storm", o.mode)
	}
	l.toll.Lost = lost(l.rooms)
	r.Toll, r.Connections = l.toll, len(l.conns)
	return r, err
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	runtime.LockOSThread()
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		files.Cur = files.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	// Run at a higher priority than the measured processes, if the system allows it, so that a late read is not counted as a late message.
	mine, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 20-mine-10)
	r, err := measure(o)
	if err != nil {
		r.Error = err.Error()
	}
	if raw, fault := unix.Getpriority(unix.PRIO_PROCESS, 0); fault == nil {
		r.Nice = 20 - raw
	}
	text, _ := json.MarshalIndent(r, "", " ")
	fmt.Println(string(text))
	if err != nil {
		os.Exit(1)
	}
}
