package memory

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
)

// MinHeapPerSlot is the least heap that a slot must be left with. The Go
// runtime, the transport and the code of an idle worker hold 8 to 15 MiB;
// below twice that the garbage collector would run without pause.
const MinHeapPerSlot = 32 * MiB

// Inputs are what the division of a TaskManager's memory is computed from:
// the values of the configuration keys named at each field. Sizes that are
// nil were not set by the operator.
type Inputs struct {
	// Process is taskmanager.memory.process.size: all memory of the daemon and
	// of all its workers, which is what a container should be limited to.
	Process *Size
	// Flink is taskmanager.memory.flink.size: all that workers may use, which
	// is Process without the overhead.
	Flink *Size
	// Heap is taskmanager.memory.task.heap.size: the Go heap of the workers
	// apart from managed memory.
	Heap *Size
	// Managed is taskmanager.memory.managed.size: the part of the workers'
	// memory that belongs to state backends. Zero is allowed.
	Managed *Size
	// ManagedFraction is taskmanager.memory.managed.fraction: Managed as a part
	// of Flink where Managed is not set.
	ManagedFraction float64
	// NetworkFraction is taskmanager.memory.network.fraction: the buffers'
	// part of Flink, within NetworkMin and NetworkMax
	// (taskmanager.memory.network.min and .max).
	NetworkFraction        float64
	NetworkMin, NetworkMax Size
	// OverheadFraction is taskmanager.memory.overhead.fraction: the part of
	// Process that is nobody's heap, within OverheadMin and OverheadMax
	// (taskmanager.memory.overhead.min and .max).
	OverheadFraction         float64
	OverheadMin, OverheadMax Size
	// Slots is taskmanager.numberOfTaskSlots.
	Slots int
	// SegmentSize is taskmanager.memory.segment-size, the size of a network
	// buffer.
	SegmentSize Size
}

// TaskManagerMemory is the memory of one TaskManager, divided. Flink is Heap +
// Managed + Network, and Process is Flink + Overhead (M1).
type TaskManagerMemory struct {
	// Process is the memory of the daemon and all its workers.
	Process Size
	// Overhead is the daemon's own memory and what every worker has apart from
	// its limit: the pages of the executable, page tables, socket buffers, and
	// the moment by which a heap overshoots a soft limit.
	Overhead Size
	// Flink is the memory of all slots.
	Flink Size
	// Heap is the Go heap of the workers apart from managed memory.
	Heap Size
	// Managed belongs to state backends. Built without cgo, a backend's cache
	// is Go heap, so this counts towards a worker's GOMEMLIMIT.
	Managed Size
	// Network is the memory of the network buffers, outside the Go heap.
	Network Size
	// Slots is the number of slots that share Flink evenly.
	Slots int
	// SegmentSize is the size of one network buffer.
	SegmentSize Size
}

// SlotMemory is what one slot of a TaskManager owns. A worker has the sum of
// the slots that it holds.
type SlotMemory struct {
	// Buffers is the number of network buffers, each of SegmentSize.
	Buffers int
	// SegmentSize is the size of one buffer.
	SegmentSize Size
	// Network is Buffers × SegmentSize: the size of the slot's memory file.
	Network Size
	// Managed is the slot's part of managed memory, which is contained in
	// GoMemLimit.
	Managed Size
	// GoMemLimit is the slot's part of heap and managed memory: what it adds to
	// the GOMEMLIMIT of the worker that holds it. The buffers are not in it,
	// because they are mapped files that the Go runtime knows nothing of.
	GoMemLimit Size
}

// Divide computes the division of a TaskManager's memory.
//
// The rule is Flink's, without its parts that exist for a JVM. Flink takes 256
// MiB of metaspace, 128 MiB of framework heap and 128 MiB of framework
// off-heap from every TaskManager; a Go worker has no counterpart of these, so
// that memory is heap here. Flink's JVM overhead stays, under the name
// overhead, with the same default of a tenth within 192 MiB and 1 GiB: it
// is the daemon, which is a process of its own and not part of the workers'
// heap, and what the kernel keeps for each worker.
//
// The total comes from one of these, in this order:
//
//   - Flink is set: it is the total of all slots.
//   - Heap and Managed are both set: Network is what makes it the wanted
//     fraction of the sum, (Heap + Managed) × f ÷ (1 − f) within its bounds.
//   - Process is set: Overhead is Process × OverheadFraction within its
//     bounds, and the rest is the total of all slots.
//
// Within the total, Managed is its size or its fraction; Network is its
// fraction within its bounds; Heap is the rest. With Heap set, Network is the
// rest instead, and must be within its bounds. When the total did not come from
// Process, Overhead is Flink × f ÷ (1 − f) within its bounds, or, with Process
// set too, the difference of both, which must be within the bounds.
//
// Products are computed on the fraction as it is written in decimal and rounded
// down to a byte. An error says which parts do not fit, with all numbers.
func Divide(in Inputs) (TaskManagerMemory, error) {
	if err := in.validate(); err != nil {
		return TaskManagerMemory{}, err
	}
	m := TaskManagerMemory{Slots: in.Slots, SegmentSize: in.SegmentSize}
	switch {
	case in.Flink != nil:
		m.Flink = *in.Flink
	case in.Heap != nil && in.Managed != nil:
		return m.fromHeapAndManaged(in)
	case in.Process != nil:
		m.Process = *in.Process
		m.Overhead = bounded(part(m.Process, in.OverheadFraction), in.OverheadMin, in.OverheadMax)
		m.Flink = m.Process - m.Overhead
	default:
		return TaskManagerMemory{}, errors.New("the memory of the TaskManager is not set: set taskmanager.memory.process.size, " +
			"taskmanager.memory.flink.size, or both of taskmanager.memory.task.heap.size and taskmanager.memory.managed.size")
	}
	if err := m.divideFlink(in); err != nil {
		return TaskManagerMemory{}, err
	}
	return m.complete(in)
}

func (m TaskManagerMemory) fromHeapAndManaged(in Inputs) (TaskManagerMemory, error) {
	m.Heap, m.Managed = *in.Heap, *in.Managed
	m.Network = bounded(partOfSum(m.Heap+m.Managed, in.NetworkFraction), in.NetworkMin, in.NetworkMax)
	m.Flink = m.Heap + m.Managed + m.Network
	return m.complete(in)
}

// divideFlink divides the total of all slots.
func (m *TaskManagerMemory) divideFlink(in Inputs) error {
	m.Managed = part(m.Flink, in.ManagedFraction)
	if in.Managed != nil {
		m.Managed = *in.Managed
	}
	if in.Heap == nil {
		m.Network = bounded(part(m.Flink, in.NetworkFraction), in.NetworkMin, in.NetworkMax)
		m.Heap = m.Flink - m.Managed - m.Network
		return nil
	}
	m.Heap = *in.Heap
	m.Network = m.Flink - m.Heap - m.Managed
	if m.Network < in.NetworkMin || m.Network > in.NetworkMax {
		return fmt.Errorf("the memory of the TaskManager does not fit: of %s for its slots, heap %s (taskmanager.memory.task.heap.size) "+
			"and managed %s leave %s for network buffers, which is not within taskmanager.memory.network.min %s and .max %s",
			m.Flink.Readable(), m.Heap.Readable(), m.Managed.Readable(), m.Network.Readable(), in.NetworkMin, in.NetworkMax)
	}
	return nil
}

// complete adds the overhead where it is not known yet and checks the whole.
func (m TaskManagerMemory) complete(in Inputs) (TaskManagerMemory, error) {
	switch {
	case m.Process != 0: // The total came from it.
	case in.Process == nil:
		m.Overhead = bounded(partOfSum(m.Flink, in.OverheadFraction), in.OverheadMin, in.OverheadMax)
		m.Process = m.Flink + m.Overhead
	default:
		m.Process = *in.Process
		m.Overhead = m.Process - m.Flink
		if m.Overhead < in.OverheadMin || m.Overhead > in.OverheadMax {
			return TaskManagerMemory{}, fmt.Errorf("the memory of the TaskManager does not fit: of taskmanager.memory.process.size %s, "+
				"the slots' %s leave %s of overhead, which is not within taskmanager.memory.overhead.min %s and .max %s",
				m.Process.Readable(), m.Flink.Readable(), m.Overhead.Readable(), in.OverheadMin, in.OverheadMax)
		}
	}
	return m, m.check()
}

// check says whether every part is large enough to work with.
func (m TaskManagerMemory) check() error {
	if m.Heap/Size(m.Slots) < MinHeapPerSlot {
		return fmt.Errorf("the memory of the TaskManager does not fit: of %s for its processes, overhead %s, managed %s and network %s "+
			"leave %s of heap for %d slots, but each needs at least %s: raise taskmanager.memory.process.size, or lower "+
			"taskmanager.memory.managed.fraction, taskmanager.memory.network.min or taskmanager.numberOfTaskSlots",
			m.Process.Readable(), m.Overhead.Readable(), m.Managed.Readable(), m.Network.Readable(), m.Heap.Readable(), m.Slots, MinHeapPerSlot)
	}
	if m.Slot().Buffers < 1 {
		return fmt.Errorf("the memory of the TaskManager does not fit: %s of network memory for %d slots is less than one buffer of %s each: "+
			"raise taskmanager.memory.network.min, or lower taskmanager.memory.segment-size or taskmanager.numberOfTaskSlots",
			m.Network.Readable(), m.Slots, m.SegmentSize)
	}
	return nil
}

// Slot returns the share of one slot: network ÷ slots rounded down to whole
// buffers, and (heap + managed) ÷ slots rounded down to bytes. What rounding
// leaves over stays unused (M2).
func (m TaskManagerMemory) Slot() SlotMemory {
	slots := Size(m.Slots)
	buffers := m.Network / slots / m.SegmentSize
	return SlotMemory{
		Buffers:     int(buffers),
		SegmentSize: m.SegmentSize,
		Network:     buffers * m.SegmentSize,
		Managed:     m.Managed / slots,
		GoMemLimit:  (m.Heap + m.Managed) / slots,
	}
}

// String returns the division in one line, for the daemon's log.
func (m TaskManagerMemory) String() string {
	slot := m.Slot()
	return fmt.Sprintf("process %s = overhead %s + heap %s + managed %s + network %s; each of %d slots has %d buffers of %s and a heap of %s",
		m.Process.Readable(), m.Overhead.Readable(), m.Heap.Readable(), m.Managed.Readable(), m.Network.Readable(),
		m.Slots, slot.Buffers, m.SegmentSize, slot.GoMemLimit.Readable())
}

func (in Inputs) validate() error {
	if in.Slots < 1 {
		return fmt.Errorf("taskmanager.numberOfTaskSlots is %d: want at least 1", in.Slots)
	}
	if in.SegmentSize < 1 {
		return fmt.Errorf("taskmanager.memory.segment-size is %s: want at least 1 byte", in.SegmentSize)
	}
	for _, f := range []struct {
		key   string
		value float64
	}{
		{"taskmanager.memory.managed.fraction", in.ManagedFraction},
		{"taskmanager.memory.network.fraction", in.NetworkFraction},
		{"taskmanager.memory.overhead.fraction", in.OverheadFraction},
	} {
		if !(f.value >= 0 && f.value < 1) { // Not-a-number fails as well.
			return fmt.Errorf("%s is %v: want at least 0 and less than 1", f.key, f.value)
		}
	}
	if in.NetworkMin < 0 || in.NetworkMin > in.NetworkMax {
		return fmt.Errorf("taskmanager.memory.network.min is %s and .max is %s: want 0 <= min <= max", in.NetworkMin, in.NetworkMax)
	}
	if in.OverheadMin < 0 || in.OverheadMin > in.OverheadMax {
		return fmt.Errorf("taskmanager.memory.overhead.min is %s and .max is %s: want 0 <= min <= max", in.OverheadMin, in.OverheadMax)
	}
	return in.validateSizes()
}

// maxTotal keeps every sum of a few sizes within 64 bits.
const maxTotal = MaxSize / 8

func (in Inputs) validateSizes() error {
	for _, s := range []struct {
		key   string
		value *Size
		min   Size
	}{
		{"taskmanager.memory.process.size", in.Process, 1},
		{"taskmanager.memory.flink.size", in.Flink, 1},
		{"taskmanager.memory.task.heap.size", in.Heap, 1},
		{"taskmanager.memory.managed.size", in.Managed, 0},
		{"taskmanager.memory.network.min", &in.NetworkMin, 0},
		{"taskmanager.memory.overhead.min", &in.OverheadMin, 0},
	} {
		if s.value != nil && (*s.value < s.min || *s.value > maxTotal) {
			return fmt.Errorf("%s is %s: want %s to %s", s.key, *s.value, s.min, maxTotal.Readable())
		}
	}
	return nil
}

// part returns total × fraction, rounded down, with the fraction taken as the
// decimal number that it prints as: 0.1 is one tenth, not the nearest binary
// number.
func part(total Size, fraction float64) Size {
	return times(total, decimal(fraction))
}

// partOfSum returns the part that is the fraction of itself and base together:
// base × f ÷ (1 − f), rounded down.
func partOfSum(base Size, fraction float64) Size {
	f := decimal(fraction)
	rest := new(big.Rat).Sub(big.NewRat(1, 1), f)
	return times(base, f.Quo(f, rest))
}

func decimal(fraction float64) *big.Rat {
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(fraction, 'g', -1, 64)) // Always a number: see validate.
	return r
}

// times returns size × r rounded down, and MaxSize where that is larger.
func times(size Size, r *big.Rat) Size {
	product := new(big.Int).Mul(big.NewInt(int64(size)), r.Num())
	product.Quo(product, r.Denom())
	if !product.IsInt64() {
		return MaxSize
	}
	return Size(product.Int64())
}

func bounded(size, lowest, highest Size) Size {
	return min(max(size, lowest), highest)
}
