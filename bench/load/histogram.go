package main

import "math/bits"

// A histogram counts times in nanoseconds in buckets that are at most 1/64 of their value wide. Its size is fixed.
type histogram struct {
	counts [64 * 64]uint64
	total  uint64
	sum    float64
	max    uint64
}

const subBits = 6

func bucketOf(value uint64) int {
	if value < 1<<subBits {
		return int(value)
	}
	shift := bits.Len64(value) - 1 - subBits
	return (shift+1)<<subBits + int(value>>shift) - 1<<subBits
}

// bucketTop is the largest value of a bucket.
func bucketTop(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return (uint64(bucket&(1<<subBits-1)+1<<subBits)+1)<<shift - 1
}

func (h *histogram) add(value uint64) {
	h.counts[bucketOf(value)]++
	h.total++
	h.sum += float64(value)
	h.max = max(h.max, value)
}

// quantile returns the value that a share q of all values does not exceed, or 0 if there are none.
func (h *histogram) quantile(q float64) uint64 {
	if h.total == 0 {
		return 0
	}
	wanted := uint64(q * float64(h.total))
	if float64(wanted) < q*float64(h.total) {
		wanted++
	}
	wanted = max(wanted, 1)
	var seen uint64
	for bucket, count := range h.counts {
		seen += count
		if seen >= wanted {
			return min(bucketTop(bucket), h.max)
		}
	}
	return h.max
}
