package main

// A room has members, who receive, and senders, who need not be members. Its tracks record what each member got from each sender.
type room struct {
	id      uint32
	name    string
	members []*conn
	senders []*sender
	tracks  []track // member × sender
}

func (r *room) track(member int, sender uint32) *track {
	return &r.tracks[member*len(r.senders)+int(sender)]
}

// A sender sends messages to one room, numbered 1, 2, 3 …: over its connection, or through a backend if it has none.
type sender struct {
	conn    *conn
	room    *room
	index   uint32
	number  uint32
	slots   []slot // of messages in flight, by number; an occupied one means: not now
	refused map[uint32]bool
}

type slot struct {
	number    uint32
	remaining int
	at        uint64
}

func (s *sender) free() bool { return s.slots[(s.number+1)%uint32(len(s.slots))].remaining == 0 }

// began records a message that is now in flight to all members.
func (s *sender) began(at uint64) {
	s.slots[s.number%uint32(len(s.slots))] = slot{s.number, len(s.room.members), at}
}

// arrived records that one more member has the message, and reports whether that was the last one.
func (s *sender) arrived(number uint32) bool {
	one := &s.slots[number%uint32(len(s.slots))]
	if one.number != number || one.remaining == 0 {
		return false
	}
	one.remaining--
	return one.remaining == 0
}

// abandon gives up messages that have been in flight since before that time, and returns how many.
func (s *sender) abandon(before uint64) int {
	count := 0
	for i := range s.slots {
		if s.slots[i].remaining > 0 && s.slots[i].at < before {
			s.slots[i].remaining = 0
			count++
		}
	}
	return count
}

// A toll is what became of all messages, counted at the members.
type toll struct {
	Sent       int            `json:"sent"`
	Expected   int            `json:"expected"`
	Delivered  int            `json:"delivered"`
	Lost       int            `json:"lost"`
	Doubled    int            `json:"doubled"`
	Disordered int            `json:"disordered"`
	Stray      int            `json:"stray"`   // at a member of another room, or never sent
	Refused    int            `json:"refused"` // refused to the sender
	Stalled    int            `json:"stalled"` // not with all members 5 s after it was sent; its slot in the window was released
	Closed     int            `json:"closed"`  // connections that ended unexpectedly
	Reasons    map[string]int `json:"reasons,omitempty"`
}

const maxReasons = 8

func (t *toll) reason(text string) {
	if t.Reasons == nil {
		t.Reasons = map[string]int{}
	}
	if _, known := t.Reasons[text]; known || len(t.Reasons) < maxReasons {
		t.Reasons[text]++
	}
}

// lost counts over all rooms what was sent, not refused, and is missing at a member.
func lost(rooms []*room) int {
	count := 0
	for _, r := range rooms {
		for member := range r.members {
			for _, s := range r.senders {
				count += r.track(member, s.index).missing(s.number, s.refused)
			}
		}
	}
	return count
}
