package key_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/key"
)

// TestGroupRange checks K3: for every parallelism up to 512 each group, for
// every parallelism up to 2,048 and many above both ends of each range.
func TestGroupRange(t *testing.T) {
	for p := 1; p <= 512; p++ {
		next := 0
		for s := range p {
			first, last := key.GroupRange(s, p)
			if int(first) != next || last < first {
				t.Fatalf("parallelism %d: subtask %d has groups %d to %d, want %d first", p, s, first, last, next)
			}
			for g := int(first); g <= int(last); g++ {
				if got := key.Subtask(uint64(g)<<48|0xffff, p); got != s {
					t.Fatalf("parallelism %d: group %d goes to %d, but is in the range of %d", p, g, got, s)
				}
			}
			next = int(last) + 1
		}
		if next != key.Groups {
			t.Fatalf("parallelism %d: %d groups are owned", p, next)
		}
	}
	for p := 513; p <= key.Groups; p++ {
		if p > 2048 && p < key.Groups-8 && p%2039 != 0 && p&(p-1) != 0 {
			continue
		}
		next := 0
		for s := range p {
			first, last := key.GroupRange(s, p)
			if int(first) != next || last < first || key.Subtask(uint64(first)<<48, p) != s || key.Subtask(uint64(last)<<48, p) != s {
				t.Fatalf("parallelism %d: subtask %d has groups %d to %d", p, s, first, last)
			}
			next = int(last) + 1
		}
		if next != key.Groups {
			t.Fatalf("parallelism %d: %d groups are owned", p, next)
		}
	}
}

func TestGroupRangePanics(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {0, -1}, {-1, 4}, {4, 4}, {0, key.Groups + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("GroupRange(%d, %d) did not panic", c[0], c[1])
				}
			}()
			key.GroupRange(c[0], c[1])
		}()
	}
}

// TestDistribution puts regular keys into 4,096 buckets by the low bits (as
// tables do) and by the top bits (as groups do). For random hashes chi-square
// is 4,095 with a deviation of 90; the bound is eight deviations either way,
// except that a bijection may spread regular keys more evenly than chance.
func TestDistribution(t *testing.T) {
	const n, buckets = 1 << 18, 1 << 12
	ints := kindOf[uint64](t)
	pairs := kindOf[pair](t)
	strs := kindOf[string](t)
	for name, hash := range map[string]func(i uint64) uint64{
		"sequential":  ints.HashOne,
		"negative":    func(i uint64) uint64 { return ints.HashOne(-i) },
		"even":        func(i uint64) uint64 { return ints.HashOne(2 * i) },
		"stride 1000": func(i uint64) uint64 { return ints.HashOne(1000 * i) },
		"stride 2^16": func(i uint64) uint64 { return ints.HashOne(i << 16) },
		"high bits":   func(i uint64) uint64 { return ints.HashOne(i << 46) },
		"pointers":    func(i uint64) uint64 { return ints.HashOne(0xc000_0000_0000 + 48*i) },
		"timestamps":  func(i uint64) uint64 { return ints.HashOne(1_700_000_000_000_000_000 + i*60_000_000_000) },
		"pairs":       func(i uint64) uint64 { return pairs.HashOne(pair{int64(i % 512), int64(i / 512)}) },
		"equal pairs": func(i uint64) uint64 { return pairs.HashOne(pair{int64(i), int64(i)}) },
		"strings":     func(i uint64) uint64 { return strs.HashOne(fmt.Sprintf("user-%07d", i)) },
	} {
		low, top := make([]float64, buckets), make([]float64, buckets)
		for i := range uint64(n) {
			h := hash(i)
			low[h%buckets]++
			top[key.Group(h)>>4]++
		}
		for where, counts := range map[string][]float64{"low": low, "top": top} {
			chi, expect := 0.0, float64(n)/buckets
			for _, c := range counts {
				chi += (c - expect) * (c - expect) / expect
			}
			if limit := buckets - 1 + 8*math.Sqrt(2*(buckets-1)); chi > limit {
				t.Errorf("%s keys, %s bits: chi-square %.0f, bound %.0f", name, where, chi, limit)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	zero := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	hashes := make([]uint64, 64)
	dst := make([]byte, 0, 4096)
	ints, strs, comp := kindOf[int](t), kindOf[string](t), kindOf[nested](t)
	intKeys, strKeys, compKeys := make([]int, 64), make([]string, 64), make([]nested, 64)
	zero("Hash of ints", func() { ints.Hash(intKeys, hashes) })
	zero("Hash of strings", func() { strs.Hash(strKeys, hashes) })
	zero("Hash of structs", func() { comp.Hash(compKeys, hashes) })
	longKeys := make([]nested, 64)
	for i := range longKeys {
		longKeys[i].Carrier = strings.Repeat("x", 1000+i)
	}
	zero("Hash of long structs", func() { comp.Hash(longKeys, hashes) })
	zero("HashOne of an int", func() { ints.HashOne(7) })
	zero("HashOne of a struct", func() { comp.HashOne(compKeys[0]) })
	zero("Append of a struct", func() { dst = comp.Append(dst[:0], &compKeys[0]) })
}
