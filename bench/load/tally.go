package main

import "slices"

// verdict classifies one arrival at one member.
type verdict int

const (
	inOrder verdict = iota
	late            // was missing until now: it was overtaken
	doubled         // had arrived already
)

// A track records what one member has got from one sender, whose messages are numbered 1, 2, 3 …: the next number
// expected, and the spans of lower numbers that have not arrived. Messages in order leave no trace.
type track struct {
	next uint32 // 0: nothing has arrived, so 1 is expected
	gaps []span
}

type span struct{ from, to uint32 } // from ≤ n < to

func (t *track) take(number uint32) verdict {
	if t.next == 0 {
		t.next = 1
	}
	switch {
	case number == t.next:
		t.next++
		return inOrder
	case number > t.next:
		t.gaps = append(t.gaps, span{t.next, number})
		t.next = number + 1
		return inOrder // a later arrival, or the end, decides whether missing ones are late or lost
	}
	for i, gap := range t.gaps {
		if number < gap.from || number >= gap.to {
			continue
		}
		rest := []span{{gap.from, number}, {number + 1, gap.to}}
		rest = slices.DeleteFunc(rest, func(s span) bool { return s.from == s.to })
		t.gaps = slices.Replace(t.gaps, i, i+1, rest...)
		return late
	}
	return doubled
}

// missing counts the numbers up to last that have not arrived and were not refused to the sender.
func (t *track) missing(last uint32, refused map[uint32]bool) int {
	next := max(t.next, 1)
	gaps := t.gaps
	if next <= last {
		gaps = append(slices.Clone(gaps), span{next, last + 1})
	}
	count := 0
	for _, gap := range gaps {
		count += int(gap.to - gap.from)
		for number := range refused {
			if number >= gap.from && number < gap.to {
				count--
			}
		}
	}
	return count
}
