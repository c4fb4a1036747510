package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A group is a set of processes that are measured together, such as all gateways.
type group struct {
	name string
	pids []int
}

// parseGroups parses "server=12,13" and the like.
func parseGroups(texts []string) ([]group, error) {
	var groups []group
	for _, text := range texts {
		name, list, found := strings.Cut(text, "=")
		if !found || name == "" {
			return nil, fmt.Errorf("--watch %q: name=pid,pid", text)
		}
		one := group{name: name}
		for _, word := range strings.Split(list, ",") {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("--watch %q: %w", text, err)
			}
			one.pids = append(one.pids, pid)
		}
		groups = append(groups, one)
	}
	return groups, nil
}

// cpuSeconds is the user and system time of all threads of the group's processes; processes that have exited count nothing.
func (g group) cpuSeconds() float64 {
	total := 0.0
	for _, pid := range g.pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		total += statSeconds(string(data))
	}
	return total
}

// statSeconds returns utime and stime, in ticks of 10 ms, from a line of /proc/PID/stat.
func statSeconds(line string) float64 {
	end := strings.LastIndexByte(line, ')') // the name before it may contain anything
	if end < 0 {
		return 0
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseUint(fields[11], 10, 64)
	system, _ := strconv.ParseUint(fields[12], 10, 64)
	return float64(user+system) / 100
}

// rssBytes is the resident memory of the group's processes, shared pages counted for each.
func (g group) rssBytes() int64 {
	var total int64
	for _, pid := range g.pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(data)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			total += pages * int64(os.Getpagesize())
		}
	}
	return total
}

// ownSeconds is the CPU time of this process.
func ownSeconds() float64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	seconds := func(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

// now is CLOCK_MONOTONIC in nanoseconds.
func now() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return uint64(t.Sec)*1e9 + uint64(t.Nsec)
}
