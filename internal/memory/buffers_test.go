package memory_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/memory"
	"pgregory.net/rapid"
)

var flinkSettings = memory.Settings{SegmentSize: 32 * kib, BuffersPerChannel: 2, FloatingPerGate: 8}

// TestPoolFormulas has the numbers of Flink's documentation for its defaults:
// a gate works with its exclusive buffers and 1 to 8 floating ones, a
// partition with one buffer more than channels, up to 2 × channels + 8.
func TestPoolFormulas(t *testing.T) {
	for _, c := range []struct {
		channels, exclusive, floating int
		gate, partition               memory.Range
	}{
		{0, 2, 8, memory.Range{}, memory.Range{}},
		{1, 2, 8, memory.Range{3, 10}, memory.Range{2, 10}},
		{4, 2, 8, memory.Range{9, 16}, memory.Range{5, 16}},
		{100, 2, 8, memory.Range{201, 208}, memory.Range{101, 208}},
		{4, 1, 1, memory.Range{5, 5}, memory.Range{5, 5}},
		{4, 16, 32, memory.Range{65, 96}, memory.Range{5, 96}},
		{4, 1, 0, memory.Range{5, 5}, memory.Range{5, 5}},
	} {
		s := memory.Settings{SegmentSize: 32 * kib, BuffersPerChannel: c.exclusive, FloatingPerGate: c.floating}
		if got := memory.GateBuffers(c.channels, s); got != c.gate {
			t.Errorf("GateBuffers(%d, %d+%d) = %v, want %v", c.channels, c.exclusive, c.floating, got, c.gate)
		}
		if got := memory.PartitionBuffers(c.channels, s); got != c.partition {
			t.Errorf("PartitionBuffers(%d, %d+%d) = %v, want %v", c.channels, c.exclusive, c.floating, got, c.partition)
		}
	}
}

func TestShare(t *testing.T) {
	demands := []memory.Range{{3, 10}, {2, 10}, {9, 9}, {0, 1}}
	for available, want := range map[int][]int{
		14:   {3, 2, 9, 0},
		15:   {3, 2, 9, 1}, // One over for 7 + 8 + 0 + 1: the running sums 0.44, 0.94, 0.94 and 1 round down to 0, 0, 0 and 1.
		22:   {6, 6, 9, 1}, // Eight over: 3.5, 7.5, 7.5 and 8.
		30:   {10, 10, 9, 1},
		1000: {10, 10, 9, 1},
	} {
		if got, err := memory.Share(available, demands); err != nil || !slices.Equal(got, want) {
			t.Errorf("Share(%d) = %v, %v, want %v", available, got, err, want)
		}
	}
	if got, err := memory.Share(13, demands); err == nil || err.Error() != "4 pools need 14 network buffers, but only 13 are available" {
		t.Errorf("Share(13) = %v, %v", got, err)
	}
	for _, bad := range []memory.Range{{-1, 3}, {3, 2}} {
		if got, err := memory.Share(100, []memory.Range{{1, 1}, bad}); err == nil || !strings.HasPrefix(err.Error(), "demand 1 ") {
			t.Errorf("Share with %v = %v, %v, want an error about demand 1", bad, got, err)
		}
	}
	if got, err := memory.Share(5, nil); err != nil || len(got) != 0 {
		t.Errorf("Share without demands = %v, %v", got, err)
	}
}

// TestShareIsFair checks M4: within its range each, all of it used as far as
// there is use for it, nobody further from the exact proportion than one.
func TestShareIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		demands := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) memory.Range {
			least := rapid.IntRange(0, 5000).Draw(t, "min")
			return memory.Range{Min: least, Max: least + rapid.IntRange(0, 1<<30).Draw(t, "spread")>>rapid.IntRange(0, 30).Draw(t, "shift")}
		}), 0, 12).Draw(t, "demands")
		least, most := 0, 0
		for _, d := range demands {
			least, most = least+d.Min, most+d.Max
		}
		available := rapid.IntRange(0, most+10).Draw(t, "available")
		grants, err := memory.Share(available, demands)
		if available < least {
			if err == nil {
				t.Fatalf("Share(%d) of %d needed = %v", available, least, grants)
			}
			return
		}
		if err != nil {
			t.Fatalf("Share(%d) of %d needed: %v", available, least, err)
		}
		sum := 0
		for i, g := range grants {
			sum += g
			if g < demands[i].Min || g > demands[i].Max {
				t.Fatalf("grant %d is %d of %v", i, g, demands[i])
			}
			if spread := most - least; spread > 0 {
				exact := float64(min(available-least, spread)) * float64(demands[i].Max-demands[i].Min) / float64(spread)
				if diff := float64(g-demands[i].Min) - exact; diff < -1.001 || diff > 1.001 {
					t.Fatalf("grant %d is %d, want %f more than %d", i, g, exact, demands[i].Min)
				}
			}
		}
		if sum != min(available, most) {
			t.Fatalf("%d of %d buffers were dealt, %d could be used", sum, available, most)
		}
	})
}

// TestPatternJoins checks that both ends of a pattern agree about their
// channels, and the properties that define the pattern, against a list of all
// pairs.
func TestPatternJoins(t *testing.T) {
	for producers := 1; producers <= 12; producers++ {
		for consumers := 1; consumers <= 12; consumers++ {
			for _, p := range []memory.Pattern{memory.AllToAll, memory.Pointwise} {
				if err := joins(p, producers, consumers); err != nil {
					t.Errorf("%s %d to %d: %v", p, producers, consumers, err)
				}
			}
		}
	}
}

func joins(p memory.Pattern, producers, consumers int) error {
	contains := func(s memory.Span, i int) bool { return s.First <= i && i < s.End }
	channels := 0
	for i := range producers {
		for k := range consumers {
			from := contains(p.ConsumersOf(i, producers, consumers), k)
			to := contains(p.ProducersOf(k, producers, consumers), i)
			if from != to {
				return fmt.Errorf("producer %d says %v about consumer %d, which says %v", i, from, k, to)
			}
			if from {
				channels++
			}
		}
	}
	want := max(producers, consumers) // Pointwise: everyone of the more has exactly one channel.
	if p == memory.AllToAll {
		want = producers * consumers
	}
	if channels != want {
		return fmt.Errorf("%d channels, want %d", channels, want)
	}
	if p == memory.AllToAll {
		return nil
	}
	for i := range producers {
		if n := p.ConsumersOf(i, producers, consumers).Len(); n < max(1, consumers/producers) || n > (consumers+producers-1)/producers {
			return fmt.Errorf("producer %d has %d consumers", i, n)
		}
	}
	for k := range consumers {
		if n := p.ProducersOf(k, producers, consumers).Len(); n < max(1, producers/consumers) || n > (producers+consumers-1)/consumers {
			return fmt.Errorf("consumer %d has %d producers", k, n)
		}
	}
	return nil
}

// departures is source (4) → window (4, keyed) → top (1, keyed), with a side
// branch that is forwarded.
func departures() memory.Job {
	return memory.Job{
		Name:     "late departures",
		Vertices: []memory.Vertex{{"Source: flights", 4}, {"window", 4}, {"top", 1}, {"archive", 4}},
		Exchanges: []memory.Exchange{
			{Producer: 0, Consumer: 1, Pattern: memory.AllToAll},
			{Producer: 1, Consumer: 2, Pattern: memory.AllToAll},
			{Producer: 0, Consumer: 3, Pattern: memory.Pointwise},
		},
	}
}

// TestDemand counts slot 0 and slot 1 of a job by hand, with Flink's defaults.
func TestDemand(t *testing.T) {
	job := departures()
	if err := job.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := job.Slots(); got != 4 {
		t.Errorf("Slots() = %d, want 4", got)
	}
	pool := func(vertex, index, exchange int, kind memory.PoolKind, channels, least, most int) memory.Pool {
		return memory.Pool{Subtask: memory.Subtask{vertex, index}, Exchange: exchange, Kind: kind, Channels: channels, Range: memory.Range{least, most}}
	}
	want := []memory.Pool{
		pool(0, 0, 0, memory.Partition, 4, 5, 16),
		pool(0, 0, 2, memory.Partition, 1, 2, 10),
		pool(1, 0, 0, memory.Gate, 4, 9, 16),
		pool(1, 0, 1, memory.Partition, 1, 2, 10),
		pool(2, 0, 1, memory.Gate, 4, 9, 16),
		pool(3, 0, 2, memory.Gate, 1, 3, 10),
	}
	demand := job.Demand(0, flinkSettings)
	if !slices.Equal(demand.Pools, want) {
		t.Errorf("slot 0:\n got %+v\nwant %+v", demand.Pools, want)
	}
	if demand.Min() != 30 || demand.Max() != 78 {
		t.Errorf("slot 0 needs %d to %d buffers, want 30 to 78", demand.Min(), demand.Max())
	}
	// Slot 1 has no subtask of top.
	if other := job.Demand(1, flinkSettings); other.Min() != 21 || other.Max() != 62 {
		t.Errorf("slot 1 needs %d to %d buffers, want 21 to 62", other.Min(), other.Max())
	}
	if empty := job.Demand(4, flinkSettings); empty.Min() != 0 || empty.Check(0) != nil {
		t.Errorf("slot 4 of a job that has four needs %d buffers", empty.Min())
	}
	shuffled := job.DemandOf(0, []memory.Subtask{{3, 0}, {1, 0}, {0, 0}, {2, 0}}, flinkSettings)
	if !slices.Equal(shuffled.Pools, want) {
		t.Errorf("the order of subtasks changes the demand: %+v", shuffled.Pools)
	}
}

// TestRefusal checks M5 and the words.
func TestRefusal(t *testing.T) {
	demand := departures().Demand(0, flinkSettings)
	if err := demand.Check(30); err != nil {
		t.Errorf("30 buffers of 30: %v", err)
	}
	grants, err := demand.Grant(30)
	if err != nil || !slices.Equal(grants, []int{5, 2, 9, 2, 9, 3}) {
		t.Errorf("Grant(30) = %v, %v, want the minima", grants, err)
	}
	_, err = demand.Grant(29)
	var refused *memory.InsufficientBuffersError
	if !errors.As(err, &refused) || refused.Needed != 30 || refused.Available != 29 {
		t.Fatalf("Grant(29): %v, want an InsufficientBuffersError", err)
	}
	const want = `Insufficient number of network buffers: job "late departures" needs 30 in slot 0 ` +
		`(task "window (1/4)" 11, "top (1/1)" 9, "Source: flights (1/4)" 7, "archive (1/4)" 3), but a slot has only 29 of 32 kb. ` +
		`A slot would need 960 kb of network memory: raise taskmanager.memory.network.min or taskmanager.memory.network.fraction, or lower the parallelism.`
	if err.Error() != want {
		t.Errorf("error\n got %s\nwant %s", err, want)
	}
}

func TestRefusalNamesTheLargestTasks(t *testing.T) {
	job := memory.Job{Name: "wide"}
	for i := range 8 {
		job.Vertices = append(job.Vertices, memory.Vertex{Name: fmt.Sprintf("v%d", i), Parallelism: i + 1})
		if i > 0 {
			job.Exchanges = append(job.Exchanges, memory.Exchange{Producer: i - 1, Consumer: i, Pattern: memory.AllToAll})
		}
	}
	err := job.Demand(0, flinkSettings).Check(0)
	if err == nil || !strings.Contains(err.Error(), "3 more tasks ") || strings.Contains(err.Error(), `"v0`) {
		t.Errorf("error %v, want the five largest tasks and a sum of the others", err)
	}
}

func TestJobValidate(t *testing.T) {
	for want, change := range map[string]func(*memory.Job){
		`task "top" (vertex 2) has parallelism 0`: func(j *memory.Job) { j.Vertices[2].Parallelism = 0 },
		`exchange 1 refers to vertex 4`:           func(j *memory.Job) { j.Exchanges[1].Consumer = 4 },
		`exchange 0 refers to vertex -1`:          func(j *memory.Job) { j.Exchanges[0].Producer = -1 },
		`exchange 2 has the unknown pattern 7`:    func(j *memory.Job) { j.Exchanges[2].Pattern = 7 },
	} {
		job := departures()
		change(&job)
		if err := job.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate: %v, want %q", err, want)
		}
	}
}

// TestDemandAddsUp compares the demand of all slots with a sum over all
// channels of a job, which no slot appears in.
func TestDemandAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		job := drawJob(t)
		s := memory.Settings{SegmentSize: 4 * kib, BuffersPerChannel: rapid.IntRange(1, 20).Draw(t, "exclusive"), FloatingPerGate: rapid.IntRange(1, 40).Draw(t, "floating")}
		wantMin, wantMax := 0, 0
		for _, e := range job.Exchanges {
			p, c := job.Vertices[e.Producer].Parallelism, job.Vertices[e.Consumer].Parallelism
			channels := p * c
			if e.Pattern == memory.Pointwise {
				channels = max(p, c)
			}
			// Each channel is exclusive buffers in a gate and one in a partition; each end has one more.
			wantMin += channels*s.BuffersPerChannel + c + channels + p
			wantMax += channels*s.BuffersPerChannel + c*s.FloatingPerGate + channels*s.BuffersPerChannel + p*s.FloatingPerGate
		}
		gotMin, gotMax := 0, 0
		for slot := range job.Slots() {
			d := job.Demand(slot, s)
			gotMin, gotMax = gotMin+d.Min(), gotMax+d.Max()
			checkSlot(t, d)
		}
		if gotMin != wantMin || gotMax != wantMax {
			t.Fatalf("all slots need %d to %d buffers, want %d to %d", gotMin, gotMax, wantMin, wantMax)
		}
	})
}

// checkSlot: one buffer less than the minimum is refused (M5), and grants stay
// in their ranges (M4).
func checkSlot(t *rapid.T, d memory.Demand) {
	if d.Min() > 0 {
		if _, err := d.Grant(d.Min() - 1); err == nil {
			t.Fatalf("slot %d accepts one buffer less than its minimum %d", d.Slot, d.Min())
		}
	}
	available := rapid.IntRange(d.Min(), d.Max()+3).Draw(t, "available")
	grants, err := d.Grant(available)
	if err != nil {
		t.Fatalf("Grant(%d) of at least %d: %v", available, d.Min(), err)
	}
	sum := 0
	for i, g := range grants {
		if r := d.Pools[i].Range; g < r.Min || g > r.Max {
			t.Fatalf("grant %d is %d of %v", i, g, r)
		}
		sum += g
	}
	if sum > available {
		t.Fatalf("%d buffers granted of %d", sum, available)
	}
}

func drawJob(t *rapid.T) memory.Job {
	job := memory.Job{Name: "drawn"}
	for i := range rapid.IntRange(1, 6).Draw(t, "vertices") {
		job.Vertices = append(job.Vertices, memory.Vertex{Name: fmt.Sprint("v", i), Parallelism: rapid.IntRange(1, 9).Draw(t, "parallelism")})
		if i > 0 {
			job.Exchanges = append(job.Exchanges, memory.Exchange{
				Producer: rapid.IntRange(0, i-1).Draw(t, "producer"),
				Consumer: i,
				Pattern:  rapid.SampledFrom([]memory.Pattern{memory.AllToAll, memory.Pointwise}).Draw(t, "pattern"),
			})
		}
	}
	return job
}
