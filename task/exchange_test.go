package task

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/shuffle"
)

type (
	packed struct { // 12 bytes with padding
		A uint32
		B uint8
		C uint16
	}
	wide struct{ A, B, C, D uint64 }
	// flatText is sent in blocks.
	flatText struct {
		A string
		B bool
		C time.Time
		D uint64
		E string
	}
	named struct {
		Name string
		Tags []string
		Rest map[string]int64
		Next *named
	}
)

// TestLanes sends records of many shapes over several channels in segments of
// several sizes, and expects them as they were, in order, with their times.
func TestLanes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(most int) string { return strings.Repeat("x", random.IntN(most+1)) }
	testLanes(t, random, func() wide { return wide{random.Uint64(), random.Uint64(), 3, 4} })
	testLanes(t, random, func() packed { return packed{random.Uint32(), uint8(random.Uint32()), uint16(random.Uint32())} })
	testLanes(t, random, func() uint8 { return uint8(random.Uint32()) })
	testLanes(t, random, func() [3]uint16 { return [3]uint16{uint16(random.Uint32()), 1, 2} })
	testLanes(t, random, func() struct{} { return struct{}{} })
	testLanes(t, random, func() [170]byte { return [170]byte{byte(random.Uint32()), 169: byte(random.Uint32())} }) // two in the smallest buffer
	testLanes(t, random, func() [300]byte { return [300]byte{299: byte(random.Uint32())} })                        // one
	testLanes(t, random, func() [5000]byte { return [5000]byte{4999: byte(random.Uint32())} })                     // runs
	testLanes(t, random, func() string { return text(40) })
	testLanes(t, random, func() string { return text(3000) }) // runs among whole ones
	testLanes(t, random, func() flatText {
		return flatText{text(9), random.IntN(2) == 0, time.Unix(random.Int64N(1<<40), 7).UTC(), random.Uint64(), text(500)}
	})
	testLanes(t, random, func() []byte {
		b := make([]byte, 376) // with its length and time it fills a buffer, or just does not
		return b[:370+random.IntN(6)]
	})
	testLanes(t, random, func() named {
		n := named{Name: text(10), Tags: []string{text(3), text(3)}, Rest: map[string]int64{text(5): random.Int64()}}
		if random.IntN(2) == 0 {
			n.Next = &named{Name: "next", Tags: []string{}}
		}
		return n
	})
	testLanes(t, random, func() *packed {
		if random.IntN(3) == 0 {
			return nil
		}
		return &packed{A: random.Uint32()}
	})
}

func testLanes[T any](t *testing.T, random *rand.Rand, next func() T) {
	t.Helper()
	for _, segment := range []int{512, 1024, 32 << 10} {
		for _, channels := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v/segment=%d/channels=%d", reflect.TypeFor[T](), segment, channels), func(t *testing.T) {
				w := newWire(t, channels, segment, 4<<20/segment, 0)
				records := must[Records[T]](t)(NewRecords[T]())
				exchange := TurnExchange[T]{Records: records}
				out := must[any](t)(exchange.Writer(w.ctx, w.outlet)).(*turnWriter[T])
				want, got := make([][]record[T], channels), make([]recorder[T], channels)
				readers := make([]reader, channels)
				for c := range readers {
					readers[c] = must[reader](t)(exchange.Reader(w.ctx, Receiver[T](&got[c])))
				}
				values, times, to := make([]T, BatchSize), make([]int64, BatchSize), make([]uint32, BatchSize)
				for range 30 {
					n := 1 + random.IntN(40)
					for i := range n {
						values[i], times[i], to[i] = next(), random.Int64(), uint32(random.IntN(channels))
						want[to[i]] = append(want[to[i]], record[T]{values[i], times[i]})
					}
					if err := out.lanes.scatter(values[:n], times[:n], to[:n]); err != nil {
						t.Fatal(err)
					}
					n = 1 + random.IntN(40)
					c := random.IntN(channels)
					for i := range n {
						values[i], times[i] = next(), random.Int64()
						want[c] = append(want[c], record[T]{values[i], times[i]})
					}
					if err := out.lanes.fill(values[:n], times[:n], c); err != nil {
						t.Fatal(err)
					}
					sealed := random.IntN(channels)
					out.lanes.seal(sealed)
					if out.lanes.isOpen(sealed) {
						t.Fatal("a channel is open after it was sealed")
					}
					for c := range channels {
						w.receive(t, c, readers[c], 1+random.IntN(20))
					}
					if len(got[sealed].records) != len(want[sealed]) {
						t.Fatalf("channel %d: %d records arrived of %d that were sealed", sealed, len(got[sealed].records), len(want[sealed]))
					}
				}
				w.outlet.end()
				for c := range channels {
					w.receive(t, c, readers[c], BatchSize)
					if !slices.EqualFunc(got[c].records, want[c], same) {
						t.Errorf("channel %d: %d records arrived, %d were sent, or they differ", c, len(got[c].records), len(want[c]))
					}
				}
				if out := w.pool.Out(); out != 0 {
					t.Errorf("%d buffers are out", out)
				}
			})
		}
	}
}

// same compares records; a large array element by element takes too long.
func same[T any](a, b record[T]) bool {
	if reflect.TypeFor[T]().Kind() == reflect.Array {
		return any(a) == any(b)
	}
	return reflect.DeepEqual(a, b)
}

// TestLanesDiscard: a task that ends too early gives its open buffers back.
func TestLanesDiscard(t *testing.T) {
	w := newWire(t, 3, 1024, 8, 0)
	for _, l := range []lanes[string]{
		must[Records[string]](t)(NewRecords[string]()).lanes(w.outlet, false),
	} {
		if err := l.scatter([]string{"a", "b"}, []int64{1, 2}, []uint32{0, 2}); err != nil {
			t.Fatal(err)
		}
		l.discard()
		if l.isOpen(0) || l.isOpen(2) || w.pool.Out() != 0 {
			t.Errorf("%d buffers are out", w.pool.Out())
		}
	}
	raw := must[Records[int64]](t)(NewRecords[int64]()).lanes(w.outlet, false)
	if err := raw.scatter([]int64{1, 2}, []int64{1, 2}, []uint32{0, 2}); err != nil {
		t.Fatal(err)
	}
	raw.discard()
	raw.discard()
	if raw.isOpen(0) || raw.isOpen(2) || w.pool.Out() != 0 {
		t.Errorf("%d buffers are out", w.pool.Out())
	}
}

// TestHashRoutes compares where records go with the definition: the subtask that
// owns the group of their key.
func TestHashRoutes(t *testing.T) {
	const channels = 7
	w := newWire(t, channels, 4096, 64, 0)
	keys := must[KeySelector[string, int64]](t)(NewKeySelector(func(v int64) string { return fmt.Sprint(v) }))
	x := HashExchange[string, int64]{Keys: keys, Records: must[Records[int64]](t)(NewRecords[int64]())}
	out := must[any](t)(x.Writer(w.ctx, w.outlet)).(Receiver[int64])
	want, got := make([]recorder[int64], channels), make([]recorder[int64], channels)
	values, times := make([]int64, 0, BatchSize), make([]int64, BatchSize)
	for v := range int64(BatchSize) {
		hash := make([]uint64, 1)
		keys.kind.Hash([]string{fmt.Sprint(v)}, hash)
		_ = want[key.Subtask(hash[0], channels)].Push([]int64{v}, []int64{0})
		values = append(values, v)
	}
	if err := out.Push(values, times); err != nil {
		t.Fatal(err)
	}
	if err := out.End(); err != nil {
		t.Fatal(err)
	}
	for c := range channels {
		w.receive(t, c, must[reader](t)(x.Reader(w.ctx, Receiver[int64](&got[c]))), BatchSize)
		if !reflect.DeepEqual(got[c].records, want[c].records) {
			t.Errorf("channel %d: %v, want %v", c, got[c].values(), want[c].values())
		}
		if len(want[c].records) == 0 {
			t.Errorf("no key of %d belongs to subtask %d: the test says nothing", BatchSize, c)
		}
	}
	if n := w.ctx.figures.RecordsOut.Load(); n != BatchSize {
		t.Errorf("%d records out are counted, want %d", n, BatchSize)
	}
}

// TestTurnDealsEvenly: whatever the batches, channels get the records in turn,
// the first at the sender's own number.
func TestTurnDealsEvenly(t *testing.T) {
	const channels = 5
	w := newWire(t, channels, 1024, 64, 0)
	w.ctx.Subtask = 8 // of many; it begins with channel 3
	x := TurnExchange[int64]{Records: must[Records[int64]](t)(NewRecords[int64]())}
	out := must[any](t)(x.Writer(w.ctx, w.outlet)).(Receiver[int64])
	n := int64(0)
	for _, size := range []int{1, 2, 7, 5, 0, 13, 1} {
		values := make([]int64, size)
		for i := range values {
			values[i] = n
			n++
		}
		if err := out.Push(values, make([]int64, size)); err != nil {
			t.Fatal(err)
		}
	}
	w.outlet.end()
	for c := range channels {
		var got recorder[int64]
		w.receive(t, c, must[reader](t)(x.Reader(w.ctx, Receiver[int64](&got))), BatchSize)
		var want []int64
		for v := range n {
			if (3+v)%channels == int64(c) {
				want = append(want, v)
			}
		}
		if !reflect.DeepEqual(got.values(), want) {
			t.Errorf("channel %d got %v, want %v", c, got.values(), want)
		}
	}
}

// TestReadersRefuseWhatCannotBe: a buffer that nobody wrote ends the task and
// nothing else.
func TestReadersRefuseWhatCannotBe(t *testing.T) {
	w := newWire(t, 1, 1024, 4, 0)
	read := func(r reader, records uint32, run shuffle.Run, content string) error {
		b := must[*shuffle.Buffer](t)(w.outlet.request())
		defer b.Recycle()
		b.SetLen(copy(b.Payload(), content))
		b.Records, b.Run = records, run
		if err := r.take(b, 0); err != nil {
			return err
		}
		for {
			if _, done, err := r.step(BatchSize); err != nil || done {
				return err
			}
		}
	}
	raw := must[Records[uint32]](t)(NewRecords[uint32]()).reader(Receiver[uint32](&recorder[uint32]{}))
	encoded := must[Records[[]string]](t)(NewRecords[[]string]()).reader(Receiver[[]string](&recorder[[]string]{}))
	block := must[Records[string]](t)(NewRecords[string]()).reader(Receiver[string](&recorder[string]{}))
	stamp := strings.Repeat("\x00", 8)
	head := stamp + "\x02\x00\x00\x00"
	for _, c := range []struct {
		name    string
		r       reader
		records uint32
		content string
		want    string
	}{
		{"raw", raw, 2, stamp + stamp + "12345678", ""},
		{"raw: too short", raw, 2, stamp + stamp + "1234567", "a buffer of 23 bytes cannot hold 2 records of type uint32"},
		{"raw: too long", raw, 1, stamp + stamp + "12345678", "a buffer of 24 bytes cannot hold 1 records"},
		{"raw: none", raw, 0, "", "a buffer of 0 bytes cannot hold 0 records"},
		{"raw: too many to multiply", raw, 1 << 31, stamp, "a buffer of 8 bytes cannot hold 2147483648 records"},
		{"encoded", encoded, 1, stamp + "\x02\x01a", ""},
		{"encoded: no time", encoded, 2, stamp + "\x02\x01a" + stamp[:7], "a buffer ends 1 records too early"},
		{"encoded: nothing", encoded, 1 << 31, "", "a buffer ends 2147483648 records too early"},
		{"encoded: value cut", encoded, 1, stamp + "\x02\x02a", "record []string cannot be decoded"},
		{"encoded: more than there is", encoded, 1, stamp + "\x02\x01a!", "1 bytes follow the last record"},
		{"block", block, 2, head + head + "abab", ""},
		{"block with a gap", block, 1, head + "\x00\x00\x00ab", ""},
		{"block: too short", block, 2, head + head[:11], "record string cannot be decoded: corrupt value: 2 values of at least 12 bytes in 23"},
		{"block: nothing", block, 1 << 31, "", "2147483648 values of at least 12 bytes in 0"},
		{"block: no records", block, 0, head, "0 values of at least 12 bytes in 12"},
		{"block: text cut", block, 2, head + head + "aba", "texts of 4 bytes where 3 are left"},
		{"block: more than there is", block, 1, head + "!ab", "1 bytes between the heads and the texts of a block"},
	} {
		err := read(c.r, c.records, shuffle.RunNone, c.content)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want … %s …", c.name, err, c.want)
		}
	}
}
