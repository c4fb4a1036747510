package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A phase is one stretch of a run: saturate:SECONDS[xREPEATS], half:SECONDS, pace=RATE:SECONDS, burst=MESSAGES[xREPEATS],
// warm=RATE:SECONDS (paced before anything is compared), or step=RATE:SECONDS (a point of a load curve: paced; if it is not sustained twice, the run ends).
type phase struct {
	kind    string
	seconds float64
	rate    float64
	count   int
	repeats int
}

func parsePhase(text string) (phase, error) {
	wrong := fmt.Errorf("phase %q: saturate:SECONDS[xREPEATS], half:SECONDS, pace|warm|step=RATE:SECONDS or burst=MESSAGES[xREPEATS]", text)
	p := phase{repeats: 1}
	head, tail, timed := strings.Cut(text, ":")
	kind, number, numbered := strings.Cut(head, "=")
	p.kind = kind
	repeated := &tail
	if kind == "burst" {
		repeated = &number
	}
	if before, after, found := strings.Cut(*repeated, "x"); found {
		repeats, err := strconv.Atoi(after)
		if err != nil || repeats < 1 {
			return p, wrong
		}
		*repeated, p.repeats = before, repeats
	}
	var err error
	switch {
	case kind == "burst" && numbered && !timed:
		p.count, err = strconv.Atoi(number)
	case paced(kind) && numbered && timed:
		p.rate, err = strconv.ParseFloat(number, 64)
	case (kind == "saturate" || kind == "half") && !numbered && timed:
	default:
		return p, wrong
	}
	if err == nil && timed {
		p.seconds, err = strconv.ParseFloat(tail, 64)
	}
	if err != nil || (timed && p.seconds <= 0) || (paced(kind) && p.rate <= 0) || (kind == "burst" && p.count < 1) {
		return p, wrong
	}
	return p, nil
}

func paced(kind string) bool { return kind == "pace" || kind == "warm" || kind == "step" }

// A result is the outcome of one phase. Shares are of one core.
type result struct {
	Phase     string             `json:"phase"`
	Seconds   float64            `json:"seconds"`
	Sent      int                `json:"sent"`
	Delivered int                `json:"delivered"`
	PerSecond float64            `json:"per_second"`
	Latency   latency            `json:"latency_ms"`
	CPU       map[string]float64 `json:"cpu_us_per_delivery"`
	Share     map[string]float64 `json:"cpu_share"`
	RSS       map[string]float64 `json:"rss_mib"`
	Own       float64            `json:"generator_cpu_share"`
	Step      *step              `json:"step,omitempty"`
	share     float64            // of what was sent in this time, so much arrived in this time
}

// A step says which rate a point of a load curve was to have, and whether the server sustained it.
type step struct {
	Asked     float64 `json:"asked"` // messages a second
	Share     float64 `json:"share"` // as in result
	Sustained bool    `json:"sustained"`
	Tries     int     `json:"tries"`
}

type latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

func (h *histogram) latency() latency {
	ms := func(ns uint64) float64 { return float64(ns) / 1e6 }
	mean := h.sum / 1e6 / float64(max(1, h.total))
	return latency{mean, ms(h.quantile(0.5)), ms(h.quantile(0.99)), ms(h.max)}
}

// A mark is the state of all counters at one time.
type mark struct {
	at        uint64
	own       float64
	cpu       []float64
	sent      int
	delivered int
	addressed int
}

func (l *load) mark() mark {
	m := mark{at: now(), own: ownSeconds(), sent: l.toll.Sent, delivered: l.toll.Delivered, addressed: l.addressed}
	for _, g := range l.groups {
		m.cpu = append(m.cpu, g.cpuSeconds())
	}
	return m
}

// begin is the mark of where a measurement begins. With marks, it is announced.
func (l *load) begin() mark {
	if l.options.marks {
		fmt.Fprintln(os.Stderr, "begin")
	}
	return l.mark()
}

// announceEnd announces, with marks, that all of a phase has arrived, and waits for a line: nothing is sent before the
// caller has looked at the servers.
func (l *load) announceEnd() error {
	if !l.options.marks {
		return nil
	}
	fmt.Fprintln(os.Stderr, "end")
	if _, err := l.options.answers.ReadString('\n'); err != nil {
		return fmt.Errorf("nobody answers the mark: %w", err)
	}
	return nil
}

func (l *load) since(m mark, name string) result {
	n := l.mark()
	seconds := float64(n.at-m.at) / 1e9
	r := result{
		Phase: name, Seconds: seconds, Sent: n.sent - m.sent, Delivered: n.delivered - m.delivered,
		Latency: l.times.latency(), Own: (n.own - m.own) / seconds,
		CPU: map[string]float64{}, Share: map[string]float64{}, RSS: map[string]float64{},
	}
	r.PerSecond = float64(r.Delivered) / seconds
	for i, g := range l.groups {
		used := n.cpu[i] - m.cpu[i]
		r.CPU[g.name] = used * 1e6 / float64(max(1, r.Delivered))
		r.Share[g.name] = used / seconds
		r.RSS[g.name] = float64(g.rssBytes()) / (1 << 20)
	}
	return r
}

// run goes through the phases, up to the first step that is not sustained; half takes the median of the saturated ones before it.
func (l *load) run(phases []phase) ([]result, error) {
	var results []result
	for _, p := range phases {
		for range p.repeats {
			var one result
			var err error
			switch p.kind {
			case "saturate":
				one, err = l.saturate(p.seconds)
			case "pace", "warm":
				one, err = l.pace(p.kind, p.rate, p.seconds)
			case "step":
				one, err = l.step(p.rate, p.seconds)
			case "burst":
				one, err = l.burst(p.count)
			case "half":
				var rates []float64
				for _, r := range results {
					if r.Phase == "saturate" {
						rates = append(rates, float64(r.Sent)/r.Seconds)
					}
				}
				if len(rates) == 0 {
					return results, fmt.Errorf("half comes after saturate")
				}
				slices.Sort(rates)
				if rates[len(rates)/2] == 0 {
					return results, fmt.Errorf("nothing was sent while it was saturated: %d messages were under way", l.options.window)
				}
				one, err = l.pace("half", rates[len(rates)/2]/2, p.seconds)
			}
			if err != nil {
				return results, err
			}
			if err := l.announceEnd(); err != nil {
				return results, err
			}
			results = append(results, one)
			if one.Step != nil && !one.Step.Sustained {
				return results, nil // higher rates would only show how a queue grows
			}
		}
	}
	return results, nil
}

// saturate keeps the window full. The warm-up does not count.
func (l *load) saturate(seconds float64) (result, error) {
	l.window, l.swept = l.options.window, now()
	if err := l.sleep(min(2, seconds/2)); err != nil {
		return result{}, err
	}
	l.times = histogram{}
	m := l.begin()
	if err := l.sleep(seconds); err != nil {
		return result{}, err
	}
	r := l.since(m, "saturate")
	l.window = 0
	err := l.settle()
	for _, s := range l.senders { // what has not arrived by now is lost, and no longer in flight
		s.abandon(^uint64(0))
	}
	l.underWay = 0
	return r, err
}

// pace sends at a rate of messages a second, whatever comes back. A stamp says when the message was due, so sending late counts as latency.
func (l *load) pace(name string, rate, seconds float64) (result, error) {
	l.gap, l.due = 1e9/rate, float64(now())
	if err := l.sleep(min(1, seconds/4)); err != nil {
		return result{}, err
	}
	l.times = histogram{}
	m := l.begin()
	err := l.sleep(seconds)
	r := l.since(m, name)
	r.share = float64(r.Delivered) / float64(max(1, l.addressed-m.addressed))
	l.gap = 0
	if err == nil {
		err = l.settle()
		r.Latency = l.times.latency()
	}
	return r, err
}

// step is a paced phase that is judged. One that is not sustained is done once more, because the machine may have stood still.
func (l *load) step(rate, seconds float64) (result, error) {
	for tries := 1; ; tries++ {
		r, err := l.pace("step", rate, seconds)
		r.Step = &step{Asked: rate, Share: r.share, Tries: tries}
		r.Step.Sustained = r.share >= l.options.share && r.Latency.P99 <= l.options.patience*1e3
		if err != nil || r.Step.Sustained || tries == 2 {
			return r, err
		}
	}
}

// burst sends so many messages at once and measures until all have arrived.
func (l *load) burst(count int) (result, error) {
	l.times = histogram{}
	m := l.begin()
	for range count {
		l.say(l.nextSender(), now())
	}
	err := l.settle()
	return l.since(m, "burst"), err
}
