package codec_test

import (
	"encoding/hex"
	"math/big"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/codec"
)

// golden checks the value against the line of its name in testdata/golden.txt,
// whose bytes were written by hand from the package documentation.
func golden[T any](t *testing.T, name string, v T) {
	t.Helper()
	file, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		at, text, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || at != name {
			continue
		}
		want, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		c := codecOf[T](t)
		if got := c.Append(nil, &v); string(got) != string(want) {
			t.Errorf("%s: % x, want % x", name, got, want)
		}
		var got T
		if n, err := c.Decode(string(want), &got); err != nil || n != len(want) || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: decoded %#v, %d bytes, %v", name, got, n, err)
		}
		return
	}
	t.Errorf("%s: no golden bytes", name)
}

func TestGolden(t *testing.T) {
	golden(t, "bool", true)
	golden(t, "int8", int8(-1))
	golden(t, "int16", int16(-2))
	golden(t, "int32", int32(64))
	golden(t, "int64", int64(-1<<63))
	golden(t, "int", 1)
	golden(t, "uint8", uint8(200))
	golden(t, "uint16", uint16(200))
	golden(t, "uint32", uint32(0x01020304))
	golden(t, "uint64", uint64(1<<64-1))
	golden(t, "uintptr", uintptr(7))
	golden(t, "float32", float32(1))
	golden(t, "float64", 1.0)
	golden(t, "complex64", complex64(complex(1, -2)))
	golden(t, "complex128", complex(1, -2))
	golden(t, "duration", time.Duration(5))
	golden(t, "padded", struct {
		A int8
		B int32
		C bool
		D uint16
	}{1, 2, true, 3})
}

func TestGoldenParts(t *testing.T) {
	golden(t, "string", "JFK")
	golden(t, "texts", struct {
		A string
		B uint8
		C carrier
	}{"ab", 7, "c"})
	golden(t, "long-array", [17]string{0: "a", 16: "z"})
	golden(t, "bytes", []byte("JFK"))
	golden(t, "bytes-nil", []byte(nil))
	golden(t, "bytes-empty", []byte{})
	golden(t, "array", [3]byte{1, 2, 3})
	golden(t, "strings", []string{"a", ""})
	golden(t, "ints", []int{1, -1})
	golden(t, "bools", []bool{true, false})
	golden(t, "slice-of-structs", []struct{ S string }{{"a"}})
	golden(t, "map", map[string]int{"a": 1})
	golden(t, "map-text", map[string]string{"a": "b"})
	golden(t, "map-nil", map[string]int(nil))
	golden(t, "pointer", new(int))
	golden(t, "pointer-nil", (*int)(nil))
	golden(t, "time-utc", time.Unix(1, 2).UTC())
	golden(t, "time-local", time.Unix(-1, 300).Local())
	golden(t, "time-zone", time.Unix(1, 0).In(somewhere))
	golden(t, "node", node{Name: "a", Next: &node{}, Kids: []node{}})
	golden(t, "priced", priced{Name: "tea", Price: money{2, -50}})
	golden(t, "embedding", embedding{base{"i", []carrier{"A"}}, nil, time.Unix(0, 0).UTC(), 3})
	golden(t, "marshaler", temperature(1))
	golden(t, "appender", polarOf(3))
	golden(t, "gob", *big.NewInt(256))
	golden(t, "message-nil", (*duration)(nil))
	golden(t, "registered", reversed{"JFK"})
	golden(t, "interface", shape(square{"s"}))
	golden(t, "interface-nil", shape(nil))
}

// record is what the fuzz target decodes: every operation is in it.
type record struct {
	B  bool
	I  int16
	J  int64
	U  uint32
	F  float32
	G  float64
	S  string
	Y  []byte
	A  [3]byte
	L  []string
	P  []money
	N  []node
	Q  *record
	M  map[string]string
	X  map[int32][]record
	At time.Time
	O  celsius
	R  [2]struct{ W string }
	E  []struct{}
}

// FuzzDecode checks D2, and that what decodes encodes to something that decodes
// to the same.
func FuzzDecode(f *testing.F) {
	c, err := codec.For[record]()
	if err != nil {
		f.Fatal(err)
	}
	seeds := []record{
		{O: temperature(0)},
		{
			B: true, I: -5, J: 1 << 40, U: 7, F: 1.5, G: -2.5, S: "s", Y: []byte{1}, L: []string{"a", "bc"},
			P: []money{{1, 2}}, N: []node{{Name: "n", Kids: []node{{}}}}, Q: &record{O: temperature(1)},
			M: map[string]string{"k": "v"}, X: map[int32][]record{3: {}}, At: time.Unix(1, 2).In(somewhere),
			O: temperature(3), E: make([]struct{}, 9),
		},
	}
	for i := range seeds {
		f.Add(string(c.Append(nil, &seeds[i])))
	}
	f.Add(strings.Repeat("\xff", 64))
	f.Fuzz(func(t *testing.T, src string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var v record
		n, err := c.Decode(src, &v)
		runtime.ReadMemStats(&after)
		if used, bound := after.TotalAlloc-before.TotalAlloc, uint64(256<<10+400*len(src)); used > bound {
			t.Errorf("%d bytes: %d bytes allocated, bound %d", len(src), used, bound)
		}
		if err != nil {
			return
		}
		if n > len(src) {
			t.Fatalf("%d of %d bytes decoded", n, len(src))
		}
		enc := string(c.Append(nil, &v))
		var again record
		if _, err := c.Decode(enc, &again); err != nil {
			t.Fatalf("%#v does not decode again: %v", v, err)
		}
		if third := c.Append(nil, &again); len(v.X) < 2 && len(v.M) < 2 && len(third) != len(enc) {
			t.Errorf("%x becomes %x", enc, third)
		}
	})
}
