package codec_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/codec"
)

// leg is of a flat type with everything that heads and texts have.
type leg struct {
	From  string
	N     int16
	Late  bool
	At    time.Time
	Fares [2]float64
	Tags  [2]struct{ Key carrier }
	Until time.Time
	Text  string
}

func drawLeg(t *rapid.T) leg {
	text := rapid.OneOf(rapid.StringN(-1, -1, 20), rapid.Map(rapid.IntRange(0, 300), func(n int) string { return strings.Repeat("t", n) }))
	l := leg{
		From: text.Draw(t, "from"), N: rapid.Int16().Draw(t, "n"), Late: rapid.Bool().Draw(t, "late"),
		At: drawTime(t), Fares: [2]float64{1, 2}, Until: drawTime(t), Text: text.Draw(t, "text"),
	}
	l.Tags[1].Key = carrier(text.Draw(t, "tag"))
	return l
}

func TestFlat(t *testing.T) {
	if !codecOf[leg](t).Flat() || !codecOf[string](t).Flat() || !codecOf[money](t).Flat() {
		t.Error("a type of numbers, strings and times is not flat")
	}
	if codecOf[node](t).Flat() || codecOf[[]byte](t).Flat() || codecOf[reversed](t).Flat() || codecOf[[17]string](t).Flat() || codecOf[struct{}](t).Flat() {
		t.Error("a type of more than a head, or of nothing, is flat")
	}
}

// TestBlocks fills blocks of every size, closes them, and reads them in batches
// of every size. What is read is what was put, and refers to nothing of the
// block.
func TestBlocks(t *testing.T) {
	c := codecOf[leg](t)
	rapid.Check(t, func(t *rapid.T) {
		room := make([]byte, rapid.IntRange(0, 4000).Draw(t, "room"))
		for i := range room {
			room[i] = 0xdb // of the last use
		}
		b := codec.NewBlock(room)
		var want []leg
		for {
			v := drawLeg(t)
			if !c.Put(&b, int64(-len(want)), &v) {
				break
			}
			want = append(want, v)
			if rapid.IntRange(0, 9).Draw(t, "stop") == 0 {
				break
			}
		}
		if b.Len() != len(want) || b.Empty() != (len(want) == 0) {
			t.Fatalf("%d values put, the block has %d", len(want), b.Len())
		}
		if b.Empty() {
			return
		}
		block := room[:b.Close()]
		r, err := c.NewBlockReader(block, len(want))
		if err != nil {
			t.Fatal(err)
		}
		var got []leg
		for r.Left() > 0 {
			n := rapid.IntRange(1, r.Left()).Draw(t, "batch")
			values, stamps := make([]leg, n), make([]int64, n)
			for i := range values { // memory that was used
				values[i] = leg{From: "old", Late: true, Text: "old"}
			}
			if err := c.Read(&r, stamps, values); err != nil {
				t.Fatal(err)
			}
			for i, s := range stamps {
				if s != int64(-len(got)-i) {
					t.Fatalf("value %d has the stamp %d", len(got)+i, s)
				}
			}
			got = append(got, values...)
		}
		for i := range room {
			room[i] = 0xdb // the block is used again
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%#v was read, %#v was put", got, want)
		}
	})
}

// TestBlocksEncodeAsAppend: a value in a block is its stamp, and its encoding
// taken apart behind the head.
func TestBlocksEncodeAsAppend(t *testing.T) {
	c := codecOf[leg](t)
	v := leg{From: "JFK", N: -2, Late: true, At: time.Unix(1, 2).UTC(), Until: time.Unix(3, 4).In(somewhere), Text: "a longer text than a key"}
	enc := c.Append(nil, &v)
	room := make([]byte, 8+len(enc)+5)
	b := codec.NewBlock(room)
	if !c.Put(&b, 7, &v) {
		t.Fatal("no room")
	}
	head := c.Stride() - 8
	want := "\x07\x00\x00\x00\x00\x00\x00\x00" + string(enc[:head]) + "\x00\x00\x00\x00\x00" + string(enc[head:])
	if got := string(room[:b.Close()]); got != want {
		t.Errorf("the block is % x, want % x", got, want)
	}
}

// TestOneCopyPerBatch: all strings of a batch are parts of one copy, and the
// texts of the block that belong to other batches are not in it.
func TestOneCopyPerBatch(t *testing.T) {
	c := codecOf[named](t)
	b := codec.NewBlock(make([]byte, 32<<10))
	v := named{Key: strings.Repeat("k", 16)}
	n := 0
	for ; c.Put(&b, 0, &v); n++ {
	}
	room := make([]byte, 32<<10)
	b = codec.NewBlock(room)
	for range n {
		c.Put(&b, 0, &v)
	}
	block := room[:b.Close()]
	values, stamps := make([]named, n), make([]int64, n)
	read := func(batch int) {
		r, err := c.NewBlockReader(block, n)
		if err != nil {
			t.Fatal(err)
		}
		for r.Left() > 0 {
			m := min(batch, r.Left())
			if err := c.Read(&r, stamps[:m], values[:m]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := testing.AllocsPerRun(50, func() { read(n) }); got != 1 {
		t.Errorf("a batch of all values takes %v allocations", got)
	}
	if got, want := testing.AllocsPerRun(50, func() { read(100) }), float64((n+99)/100); got != want {
		t.Errorf("batches of 100 take %v allocations, want %v", got, want)
	}
	read(n)
	first, last := unsafe.Pointer(unsafe.StringData(values[0].Key)), unsafe.Pointer(unsafe.StringData(values[n-1].Key))
	if d := uintptr(first) - uintptr(last); d != uintptr(16*(n-1)) {
		t.Errorf("the first and the last string lie %d bytes apart", d)
	}
}

// TestDetach: what is kept of a record shares no memory with it, other strings
// stay where they are, and equal ones are not copied again.
func TestDetach(t *testing.T) {
	c := codecOf[leg](t)
	at := func(s string) *byte { return unsafe.StringData(s) }
	record := leg{From: strings.Repeat("r", 20), Text: strings.Repeat("s", 20)}
	record.Tags[1].Key = carrier(strings.Repeat("k", 20))
	kept := leg{Text: record.From[5:9], N: 3}
	kept.Tags[0].Key, kept.Tags[1].Key = carrier(strings.Repeat("o", 9)), record.Tags[1].Key
	was := leg{}
	was.Tags[1].Key = carrier(strings.Repeat("k", 20))
	got := kept
	c.Detach(&got, &record, &was)
	if !reflect.DeepEqual(got, kept) {
		t.Errorf("%#v became %#v", kept, got)
	}
	if at(got.Text) == at(kept.Text) {
		t.Error("a part of the record's string is kept")
	}
	if at(string(got.Tags[0].Key)) != at(string(kept.Tags[0].Key)) {
		t.Error("a string that is none of the record's was copied")
	}
	if at(string(got.Tags[1].Key)) != at(string(was.Tags[1].Key)) {
		t.Error("a string was copied though an equal one is kept already")
	}
	if codecOf[money](t).HoldsStrings() || codecOf[[]string](t).HoldsStrings() || !codecOf[leg](t).HoldsStrings() {
		t.Error("HoldsStrings does not tell which types hold strings")
	}
}

// FuzzBlock checks D2 for blocks: any bytes, as a block of any number of values,
// give an error or values that encode to something that decodes to the same.
func FuzzBlock(f *testing.F) {
	c, err := codec.For[leg]()
	if err != nil {
		f.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 9} {
		room := make([]byte, 1200)
		b := codec.NewBlock(room)
		for range n {
			c.Put(&b, random.Int64(), &leg{From: strings.Repeat("f", random.IntN(9)), At: time.Unix(1, 2).In(somewhere), Late: true, Text: "text"})
		}
		f.Add(room[:b.Close()], uint32(n), uint8(3))
	}
	f.Add([]byte(strings.Repeat("\xff", 200)), uint32(2), uint8(1))
	f.Add([]byte{}, uint32(1<<31), uint8(1))
	f.Fuzz(func(t *testing.T, block []byte, n uint32, batch uint8) {
		var values []leg
		used := allocated(func() {
			r, err := c.NewBlockReader(block, int(n))
			for err == nil && r.Left() > 0 {
				m := min(int(batch)+1, r.Left())
				next := make([]leg, m)
				if err = c.Read(&r, make([]int64, m), next); err == nil {
					values = append(values, next...)
				}
			}
			if err != nil && !errors.Is(err, codec.ErrCorrupt) {
				t.Errorf("the error is %v", err)
			}
		})
		if bound := uint64(256<<10 + 100*len(block)); used > bound {
			t.Errorf("%d bytes: %d bytes allocated, bound %d", len(block), used, bound)
		}
		for i := range values {
			var again leg
			if _, err := c.Decode(string(c.Append(nil, &values[i])), &again); err != nil {
				t.Fatalf("%#v does not decode again: %v", values[i], err)
			}
		}
	})
}
