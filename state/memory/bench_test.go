package memory_test

import (
	"fmt"
	"testing"
)

const records = 1 << 22

// random returns records of n keys, as the hand-written limit generates them.
func random(n uint64) []uint64 {
	keys := make([]uint64, records)
	x := uint64(1)
	for i := range keys {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		keys[i] = x % n
	}
	return keys
}

// benchmark runs add over batches of 512 of the records, after a first round over
// all of them, and reports the time per record.
func benchmark[K any](b *testing.B, keys []K, add func([]K), before func(pos int)) {
	for pos := 0; pos < len(keys); pos += 512 {
		add(keys[pos : pos+512])
	}
	pos := 0
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if before != nil {
			before(pos)
		}
		add(keys[pos : pos+512])
		pos = (pos + 512) % len(keys)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/record")
}

var sizes = []uint64{500, 1000, 50_000, 2_000_000}

// BenchmarkFind hashes, finds and updates {count, sum}; one operation is a batch.
func BenchmarkFind(b *testing.B) {
	for _, n := range sizes {
		keys := random(n)
		b.Run(fmt.Sprintf("uint64/%d", n), func(b *testing.B) {
			benchmark(b, keys, newBatch[uint64](b).add, nil)
		})
	}
	for _, n := range sizes[1:3] {
		keys := random(n)[:1<<16] // whose bytes stay in the cache, as a buffer's do
		text := make([]string, len(keys))
		for i, k := range keys {
			text[i] = fmt.Sprintf("%016d", k)
		}
		b.Run(fmt.Sprintf("string16/%d", n), func(b *testing.B) {
			benchmark(b, text, newBatch[string](b).add, nil)
		})
	}
}

// BenchmarkHandWritten is the table of the hand-written limit: one loop for hash,
// look-up and update, for one type.
func BenchmarkHandWritten(b *testing.B) {
	for _, n := range sizes {
		keys := random(n)
		b.Run(fmt.Sprintf("uint64/%d", n), func(b *testing.B) {
			t := newHand(1024)
			benchmark(b, keys, func(keys []uint64) {
				for _, k := range keys {
					t.add(k, int64(k))
				}
			}, nil)
		})
	}
}

// BenchmarkPane clears the table after every 500,000 records, so that inserting
// and clearing have their share.
func BenchmarkPane(b *testing.B) {
	for _, n := range sizes {
		keys := random(n)
		b.Run(fmt.Sprintf("table/%d", n), func(b *testing.B) {
			t := newBatch[uint64](b)
			benchmark(b, keys, t.add, func(pos int) {
				if pos%(1<<19) == 0 {
					t.t.Clear()
				}
			})
		})
		b.Run(fmt.Sprintf("hand/%d", n), func(b *testing.B) {
			t := newHand(1024)
			benchmark(b, keys, func(keys []uint64) {
				for _, k := range keys {
					t.add(k, int64(k))
				}
			}, func(pos int) {
				if pos%(1<<19) == 0 {
					clear(t.slots)
					t.n = 0
				}
			})
		})
	}
}

// BenchmarkSnapshots runs snapshots back to back, each read a page per batch.
func BenchmarkSnapshots(b *testing.B) {
	for _, n := range sizes {
		keys := random(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := newBatch[uint64](b)
			snap := t.t.Snapshot()
			done := 0
			benchmark(b, keys, t.add, func(int) {
				if _, ok := snap.Next(); !ok {
					snap = t.t.Snapshot()
					done++
				}
			})
			b.ReportMetric(float64(done), "snapshots")
		})
	}
}

// BenchmarkFire iterates over a table's keys and empties it in pieces.
func BenchmarkFire(b *testing.B) {
	for _, n := range sizes[1:3] {
		t := newBatch[uint64](b)
		keys := make([]uint64, 500)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			total := int64(0)
			for range b.N {
				b.StopTimer()
				for from := uint64(0); from < n; from += 500 {
					for i := range keys {
						keys[i] = from + uint64(i)
					}
					t.add(keys)
				}
				b.StartTimer()
				end := uint32(len(t.t.Slots()))
				for from := uint32(0); from < end; from += 1024 {
					for i, ok := t.t.Next(from); ok && i < from+1024; i, ok = t.t.Next(i + 1) {
						total += t.t.At(i).count
					}
					t.t.ClearRange(from, from+1024)
				}
			}
			if total != int64(n)*int64(b.N) {
				b.Errorf("fired %d records, want %d", total, int64(n)*int64(b.N))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/key")
		})
	}
}

type handSlot struct {
	key        uint64
	count, sum int64
}

// hand is an open-addressing table of 24-byte slots; a count of zero is free.
type hand struct {
	slots []handSlot
	n     int
}

func newHand(size int) *hand { return &hand{slots: make([]handSlot, size)} }

func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func (t *hand) add(key uint64, value int64) {
	mask := uint64(len(t.slots) - 1)
	for h := mix(key) & mask; ; h = (h + 1) & mask {
		s := &t.slots[h]
		if s.count != 0 && s.key == key {
			s.count++
			s.sum += value
			return
		}
		if s.count == 0 {
			*s = handSlot{key, 1, value}
			if t.n++; 2*t.n > len(t.slots) {
				t.grow()
			}
			return
		}
	}
}

func (t *hand) grow() {
	old := t.slots
	t.slots = make([]handSlot, 2*len(old))
	mask := uint64(len(t.slots) - 1)
	for _, s := range old {
		if s.count == 0 {
			continue
		}
		h := mix(s.key) & mask
		for t.slots[h].count != 0 {
			h = (h + 1) & mask
		}
		t.slots[h] = s
	}
}
