package memory_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/memory"
	"pgregory.net/rapid"
)

const (
	kib = memory.KiB
	mib = memory.MiB
	gib = memory.GiB
)

// flinkInputs are Flink's defaults, as its reference states them.
func flinkInputs() memory.Inputs {
	return memory.Inputs{
		ManagedFraction:  0.4,
		NetworkFraction:  0.1,
		NetworkMin:       64 * mib,
		NetworkMax:       memory.MaxSize,
		OverheadFraction: 0.1,
		OverheadMin:      192 * mib,
		OverheadMax:      gib,
		Slots:            1,
		SegmentSize:      32 * kib,
	}
}

// TestDivide checks divisions that were computed by hand. Where there is no JVM
// in the way they are the ones of Flink's documentation: a flink.size of 1280
// MiB has 512 MiB of managed and 128 MiB of network memory.
func TestDivide(t *testing.T) {
	type parts struct{ process, overhead, flink, heap, managed, network memory.Size }
	for name, c := range map[string]struct {
		set  func(*memory.Inputs)
		want parts
	}{
		"flink.size of Flink's shipped file": {
			func(in *memory.Inputs) { in.Flink = new(1280 * mib) },
			// Overhead: a ninth of 1280 MiB is 142.2, below the minimum.
			parts{1472 * mib, 192 * mib, 1280 * mib, 640 * mib, 512 * mib, 128 * mib},
		},
		"process.size of Flink's shipped file": {
			func(in *memory.Inputs) { in.Process = new(1728 * mib) },
			// 1536 MiB: managed 614.4 and network 153.6 MiB, rounded down to bytes.
			parts{1728 * mib, 192 * mib, 1536 * mib, 1610612736 - 644245094 - 161061273, 644245094, 161061273},
		},
		"large process: overhead and network at their maxima": {
			func(in *memory.Inputs) { in.Process, in.NetworkMax = new(64*gib), gib },
			// Overhead 6.4 GiB capped to 1; network 6.3 GiB capped to 1; managed 0.4 × 63 GiB = 25.2 GiB.
			parts{64 * gib, gib, 63 * gib, 63*gib - gib - 27058293964, 27058293964, gib},
		},
		"small total: network at its minimum": {
			func(in *memory.Inputs) { in.Flink = new(320 * mib) },
			parts{512 * mib, 192 * mib, 320 * mib, 128 * mib, 128 * mib, 64 * mib},
		},
		"managed memory switched off": {
			func(in *memory.Inputs) { in.Flink, in.Managed = new(1280*mib), new(memory.Size(0)) },
			parts{1472 * mib, 192 * mib, 1280 * mib, 1152 * mib, 0, 128 * mib},
		},
		"heap and managed": {
			func(in *memory.Inputs) { in.Heap, in.Managed = new(1000*mib), new(800*mib) },
			// Network a ninth of 1800 MiB = 200; overhead a ninth of 2000 MiB = 222.2 MiB.
			parts{2000*mib + 233016888, 233016888, 2000 * mib, 1000 * mib, 800 * mib, 200 * mib},
		},
		"heap within a total: network is the rest": {
			func(in *memory.Inputs) { in.Flink, in.Heap = new(1280*mib), new(600*mib) },
			parts{1472 * mib, 192 * mib, 1280 * mib, 600 * mib, 512 * mib, 168 * mib},
		},
		"heap and managed within a total: network is the rest": {
			func(in *memory.Inputs) { in.Flink, in.Heap, in.Managed = new(1280*mib), new(600*mib), new(500*mib) },
			parts{1472 * mib, 192 * mib, 1280 * mib, 600 * mib, 500 * mib, 180 * mib},
		},
		"process and flink: overhead is the difference": {
			func(in *memory.Inputs) { in.Process, in.Flink = new(1580*mib), new(1280*mib) },
			parts{1580 * mib, 300 * mib, 1280 * mib, 640 * mib, 512 * mib, 128 * mib},
		},
		"process, heap and managed": {
			func(in *memory.Inputs) { in.Process, in.Heap, in.Managed = new(2300*mib), new(1000*mib), new(800*mib) },
			parts{2300 * mib, 300 * mib, 2000 * mib, 1000 * mib, 800 * mib, 200 * mib},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := flinkInputs()
			c.set(&in)
			m, err := memory.Divide(in)
			got := parts{m.Process, m.Overhead, m.Flink, m.Heap, m.Managed, m.Network}
			if err != nil || got != c.want {
				t.Errorf("Divide = %+v, %v\nwant     %+v", got, err, c.want)
			}
		})
	}
}

func TestDivideRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*memory.Inputs)
		want []string
	}{
		"nothing set":         {func(*memory.Inputs) {}, []string{"is not set", "taskmanager.memory.process.size"}},
		"no heap left":        {func(in *memory.Inputs) { in.Process = new(256 * mib) }, []string{"process", "256 mb", "overhead 192 mb", "network 64 mb", "-25.600mb", "1 slots", "32 mb"}},
		"too little per slot": {func(in *memory.Inputs) { in.Flink, in.Slots = new(1280*mib), 21 }, []string{"640 mb of heap for 21 slots", "at least 32 mb", "numberOfTaskSlots"}},
		"less than a buffer each": {func(in *memory.Inputs) {
			in.Flink, in.NetworkMin, in.NetworkMax, in.Slots = new(gib), 32*kib, 32*kib, 2
		}, []string{"32 kb of network memory for 2 slots", "one buffer of 32 kb"}},
		"heap leaves no network":  {func(in *memory.Inputs) { in.Flink, in.Heap = new(1280*mib), new(740*mib) }, []string{"740 mb", "28 mb for network", "network.min 64 mb"}},
		"overhead out of bounds":  {func(in *memory.Inputs) { in.Process, in.Flink = new(1281*mib), new(1280*mib) }, []string{"1281 mb", "1 mb of overhead", "overhead.min 192 mb"}},
		"flink beyond process":    {func(in *memory.Inputs) { in.Process, in.Flink = new(gib), new(2*gib) }, []string{"-1 gb of overhead"}},
		"no slots":                {func(in *memory.Inputs) { in.Process, in.Slots = new(gib), 0 }, []string{"numberOfTaskSlots is 0"}},
		"no segment":              {func(in *memory.Inputs) { in.Process, in.SegmentSize = new(gib), 0 }, []string{"segment-size"}},
		"fraction of one":         {func(in *memory.Inputs) { in.Process, in.NetworkFraction = new(gib), 1 }, []string{"network.fraction is 1"}},
		"fraction not a number":   {func(in *memory.Inputs) { in.Process, in.ManagedFraction = new(gib), math.NaN() }, []string{"managed.fraction is NaN"}},
		"negative fraction":       {func(in *memory.Inputs) { in.Process, in.OverheadFraction = new(gib), -0.1 }, []string{"overhead.fraction is -0.1"}},
		"network bounds swapped":  {func(in *memory.Inputs) { in.Process, in.NetworkMax = new(gib), 63*mib }, []string{"network.min is 64 mb and .max is 63 mb"}},
		"overhead bounds swapped": {func(in *memory.Inputs) { in.Process, in.OverheadMax = new(gib), 63*mib }, []string{"overhead.min is 192 mb and .max is 63 mb"}},
		"zero process":            {func(in *memory.Inputs) { in.Process = new(memory.Size(0)) }, []string{"process.size is 0 bytes"}},
		"beyond all machines":     {func(in *memory.Inputs) { in.Heap, in.Managed = new(memory.MaxSize), new(memory.MaxSize) }, []string{"task.heap.size is 9223372036854775807 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := flinkInputs()
			c.set(&in)
			m, err := memory.Divide(in)
			if err == nil {
				t.Fatalf("Divide = %+v, want an error", m)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestSlot(t *testing.T) {
	in := flinkInputs()
	in.Flink, in.Slots = new(1280*mib+1), 3
	m, err := memory.Divide(in)
	if err != nil {
		t.Fatal(err)
	}
	// 128 MiB are 4096 buffers, 1365 for each of three and one over.
	// Heap and managed are (1280 MiB + 1) - 128 MiB, a third of which is 384 MiB.
	want := memory.SlotMemory{Buffers: 1365, SegmentSize: 32 * kib, Network: 1365 * 32 * kib, Managed: 536870912 / 3, GoMemLimit: 384 * mib}
	if got := m.Slot(); got != want {
		t.Errorf("Slot() = %+v, want %+v", got, want)
	}
	const line = "each of 3 slots has 1365 buffers of 32 kb and a heap of 384 mb"
	if !strings.Contains(m.String(), line) {
		t.Errorf("String() = %q, want %q in it", m, line)
	}
}

// TestDivideAddsUp checks M1 and M2 and every bound, for any input.
func TestDivideAddsUp(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		m, err := memory.Divide(in)
		if err != nil {
			return
		}
		accepted++
		if err := whole(in, m); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
	})
	if accepted < 20 {
		t.Errorf("%d inputs were accepted: too few were checked", accepted)
	}
}

// drawInputs draws inputs of every form; about half of them fit.
func drawInputs(t *rapid.T) memory.Inputs {
	// rapid prefers small numbers, of which hardly any division fits: the
	// multiplication spreads what it draws over the whole interval.
	size := func(label string, least, most memory.Size) memory.Size {
		spread := rapid.Uint64().Draw(t, label) * 0x9e3779b97f4a7c15
		return least + memory.Size(spread%uint64(most-least+1))
	}
	fraction := func(label string) float64 { return float64(rapid.IntRange(0, 400).Draw(t, label)) / 1000 }
	in := memory.Inputs{
		ManagedFraction:  fraction("managed fraction"),
		NetworkFraction:  fraction("network fraction"),
		NetworkMin:       size("network min", 0, 64*mib),
		OverheadFraction: fraction("overhead fraction"),
		OverheadMin:      size("overhead min", 0, 200*mib),
		Slots:            rapid.IntRange(1, 8).Draw(t, "slots"),
		SegmentSize:      4 * kib << rapid.IntRange(0, 8).Draw(t, "segment"),
	}
	in.NetworkMax = in.NetworkMin + size("network max", 0, 8*gib)
	in.OverheadMax = in.OverheadMin + size("overhead max", 0, 8*gib)
	form := rapid.IntRange(0, 4).Draw(t, "form")
	if form == 0 || form == 1 {
		in.Process = new(size("process", 1, 16*gib))
	}
	if form == 2 || form == 3 {
		in.Flink = new(size("flink", 1, 16*gib))
	}
	if form == 1 || form == 4 {
		in.Managed = new(size("managed", 0, 2*gib))
	}
	if form == 3 || form == 4 {
		in.Heap = new(size("heap", 1, 2*gib))
	}
	if form >= 3 && rapid.Bool().Draw(t, "process too") {
		in.Process = new(size("process", 1, 16*gib))
	}
	return in
}

func whole(in memory.Inputs, m memory.TaskManagerMemory) error {
	slot, slots := m.Slot(), memory.Size(in.Slots)
	for what, ok := range map[string]bool{
		"M1: flink":          m.Flink == m.Heap+m.Managed+m.Network,
		"M1: process":        m.Process == m.Flink+m.Overhead,
		"process as set":     in.Process == nil || m.Process == *in.Process,
		"flink as set":       in.Flink == nil || m.Flink == *in.Flink,
		"heap as set":        in.Heap == nil || m.Heap == *in.Heap,
		"managed as set":     in.Managed == nil || m.Managed == *in.Managed,
		"network bounds":     m.Network >= in.NetworkMin && m.Network <= in.NetworkMax,
		"overhead bounds":    m.Overhead >= in.OverheadMin && m.Overhead <= in.OverheadMax,
		"positive heap":      m.Heap >= memory.MinHeapPerSlot*slots,
		"M2: network":        slot.Network*slots <= m.Network && slot.Network == memory.Size(slot.Buffers)*in.SegmentSize,
		"M2: no buffer lost": m.Network-slot.Network*slots < slots*in.SegmentSize,
		"M2: heap":           slot.GoMemLimit*slots <= m.Heap+m.Managed && slot.Managed <= slot.GoMemLimit,
	} {
		if !ok {
			return fmt.Errorf("%s is wrong for %+v", what, in)
		}
	}
	return nil
}
