package generator

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func square(i int64) int64 { return i * i }

// readAll reads what a split has from a position on, n records at a time.
func readAll(t *testing.T, source weir.Source[int64], split weir.Split, at []byte, n int) (all []int64) {
	t.Helper()
	r, err := source.Open(t.Context(), split, at)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, r)
	values := make([]int64, n)
	for {
		got, err := r.Read(values)
		all = append(all, values[:got]...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil || got == 0 {
			t.Fatalf("Read returned %d, %v", got, err)
		}
	}
}

func closed(t *testing.T, r io.Closer) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestEveryIndexOnce collects the splits of several counts and parallelisms, and
// goes on from every position (N1, N3).
func TestEveryIndexOnce(t *testing.T) {
	for _, count := range []int64{0, 1, 2, 3, 100} {
		for _, parallelism := range []int{1, 2, 3, 7} {
			source := Of(count, square)
			splits, err := source.Splits(t.Context(), parallelism)
			if err != nil || len(splits) != parallelism {
				t.Fatalf("%d splits, error %v", len(splits), err)
			}
			var all []int64
			for s, split := range splits {
				if want := fmt.Sprintf("%d/%d", s+1, parallelism); split.ID != want {
					t.Errorf("split %q, want %q", split.ID, want)
				}
				mine := readAll(t, source, split, nil, 3)
				for n, value := range mine {
					if want := square(int64(s + n*parallelism)); value != want {
						t.Fatalf("record %d of split %s is %d, want %d", n, split.ID, value, want)
					}
				}
				all = append(all, mine...)
				testPositions(t, source, split, mine)
			}
			slices.Sort(all)
			var want []int64
			for i := range count {
				want = append(want, square(i))
			}
			if !slices.Equal(all, want) {
				t.Errorf("%d records over %d subtasks: got %v", count, parallelism, all)
			}
		}
	}
}

func testPositions(t *testing.T, source weir.Source[int64], split weir.Split, all []int64) {
	t.Helper()
	r, err := source.Open(t.Context(), split, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, r)
	for read := 0; ; read++ {
		at, err := r.Position()
		if err != nil {
			t.Fatal(err)
		}
		if rest := readAll(t, source, split, at, 4); !slices.Equal(rest, all[read:]) {
			t.Fatalf("from record %d of split %s: %v, want %v", read, split.ID, rest, all[read:])
		}
		done, total := r.(weir.Progresser).Progress()
		if done != uint64(read) || total != uint64(len(all)) {
			t.Fatalf("progress %d of %d, want %d of %d", done, total, read, len(all))
		}
		if n, err := r.Read(make([]int64, 1)); n == 0 {
			if !errors.Is(err, io.EOF) || read != len(all) {
				t.Fatalf("record %d of %d: %v", read, len(all), err)
			}
			return
		}
	}
}

func TestUnbounded(t *testing.T) {
	source := Of(-1, square)
	if source.Bounded() || !Of(0, square).Bounded() {
		t.Error("a negative count is unbounded, 0 is not")
	}
	splits, err := source.Splits(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	r, err := source.Open(t.Context(), splits[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, r)
	values := make([]int64, 512)
	for i := range int64(1000) {
		n, err := r.Read(values)
		if n != 512 || err != nil || values[511] != square(1+2*(512*i+511)) {
			t.Fatalf("batch %d: %d records, the last %d, %v", i, n, values[511], err)
		}
	}
	if _, ok := r.(weir.Progresser); ok {
		t.Error("a source without end knows how far it is")
	}
	if _, ok := r.(weir.Notifier); ok {
		t.Error("a source without a rate asks to be waited for")
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		source weir.Source[int64]
		want   string
	}{
		"no function":       {Of[int64](5, nil), "a generator of int64: the function is nil"},
		"no paced function": {Paced[int64](5, 10, nil), "the function is nil"},
		"rate 0":            {Of(5, square).Rate(0), "the rate is 0 records per second"},
		"negative rate":     {Of(5, square).Rate(-1), "the rate is -1 records per second"},
		"rate NaN":          {Of(5, square).Rate(math.NaN()), "the rate is NaN"},
		"rate Inf":          {Of(5, square).Rate(math.Inf(1)), "the rate is +Inf"},
		"both":              {Of[int64](5, nil).Rate(0), "nil\nthe rate is 0"},
	} {
		_, err := c.source.Splits(t.Context(), 1)
		_, again := c.source.Open(t.Context(), stride{0, 1}.split(), nil)
		if valid := c.source.(weir.Validator).Validate(); valid == nil || err == nil || valid.Error() != err.Error() {
			t.Errorf("%s: Validate: %v; Splits: %v", name, valid, err)
		}
		if err == nil || again == nil || err.Error() != again.Error() || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Splits: %v; Open: %v; want %q", name, err, again, c.want)
		}
	}
	source := Of(5, square)
	for _, data := range [][]byte{nil, make([]byte, 15), make([]byte, 16), stride{3, 3}.split().Data, stride{-1, 3}.split().Data} {
		if _, err := source.Open(t.Context(), weir.Split{ID: "bad", Data: data}, nil); err == nil || !strings.Contains(err.Error(), `split "bad"`) {
			t.Errorf("split %x: error %v", data, err)
		}
	}
	for _, at := range [][]byte{{}, make([]byte, 7), make([]byte, 8), {0, 0, 0, 0, 0, 0, 0, 2}, {0xff, 0, 0, 0, 0, 0, 0, 1}} {
		if _, err := source.Open(t.Context(), stride{1, 3}.split(), at); err == nil || !strings.Contains(err.Error(), `split "2/3"`) {
			t.Errorf("position %x: error %v", at, err)
		}
	}
}

func FuzzForeignBytes(f *testing.F) {
	f.Add(stride{2, 5}.split().Data, []byte{0, 0, 0, 0, 0, 0, 0, 7})
	f.Add(stride{0, math.MaxInt32}.split().Data, []byte{})
	f.Fuzz(func(t *testing.T, data, at []byte) {
		s, err := decodeStride(data)
		if err != nil {
			return
		}
		if s.first < 0 || s.step <= s.first || !reflect.DeepEqual(s.split().Data, data) {
			t.Fatalf("%x is %+v", data, s)
		}
		next, err := s.decodePosition(at)
		if err == nil && (next < 0 || next%s.step != s.first) {
			t.Fatalf("%x is index %d of %+v", at, next, s)
		}
	})
}

// TestAllocations holds both readers to none.
func TestAllocations(t *testing.T) {
	plain, err := Of(-1, square).Open(t.Context(), stride{0, 1}.split(), nil)
	if err != nil {
		t.Fatal(err)
	}
	paced, err := Paced(-1, 1e9, func(i int64, _ time.Time) int64 { return i }).Open(t.Context(), stride{0, 1}.split(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]weir.Reader[int64]{"plain": plain, "paced": paced} {
		values := make([]int64, 256)
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := r.Read(values); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations per batch", name, allocs)
		}
		closed(t, r)
	}
}
