package main

import "testing"

func takeAll(t *track, numbers ...uint32) (late_, doubled_ int) {
	for _, number := range numbers {
		switch t.take(number) {
		case late:
			late_++
		case doubled:
			doubled_++
		}
	}
	return
}

// Messages in order leave no trace, and nothing is missing.
func TestInOrder(t *testing.T) {
	var one track
	if l, d := takeAll(&one, 1, 2, 3, 4); l != 0 || d != 0 || one.missing(4, nil) != 0 || len(one.gaps) != 0 {
		t.Fatal(l, d, one)
	}
}

// A message that never arrives is missing, in the middle, at the beginning and at the end.
func TestLost(t *testing.T) {
	var one track
	takeAll(&one, 2, 3, 6)
	if got := one.missing(8, nil); got != 5 { // 1, 4, 5, 7, 8
		t.Fatal(got)
	}
	var none track
	if got := none.missing(3, nil); got != 3 {
		t.Fatal(got)
	}
}

// A message that arrives twice is doubled, also if it was late the first time.
func TestDoubled(t *testing.T) {
	var one track
	if l, d := takeAll(&one, 1, 2, 2, 5, 3, 3, 1); l != 1 || d != 3 {
		t.Fatal(l, d)
	}
	if got := one.missing(5, nil); got != 1 { // 4
		t.Fatal(got)
	}
}

// A message that was overtaken is out of order and not lost, wherever in the gap it was.
func TestDisordered(t *testing.T) {
	var one track
	if l, d := takeAll(&one, 1, 6, 4, 2, 5, 3); l != 4 || d != 0 {
		t.Fatal(l, d)
	}
	if got := one.missing(6, nil); got != 0 || len(one.gaps) != 0 {
		t.Fatal(got, one.gaps)
	}
}

// A message that was refused to its sender is not missing.
func TestRefused(t *testing.T) {
	var one track
	takeAll(&one, 1, 4)
	if got := one.missing(6, map[uint32]bool{3: true, 6: true, 1: true}); got != 2 { // 2, 5
		t.Fatal(got)
	}
}
