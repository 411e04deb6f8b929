package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb" //nolint:depguard // What users send.

	"github.com/weirstream/weir/internal/codec"
)

// goldenState checks a shape and a value against the line of its name in
// testdata/state.txt, whose bytes were written by hand from the package
// documentation. State of users depends on every line: add lines, never change one.
func goldenState[T any](t *testing.T, name string, v T) {
	t.Helper()
	file, err := os.ReadFile("testdata/state.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		at, text, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || at != name {
			continue
		}
		shape, value, _ := strings.Cut(text, "|")
		c := codecOf[T](t)
		if want := unquote(t, shape); !bytes.Equal(c.Shape(), want) {
			t.Errorf("%s: the shape is % x, want % x", name, []byte(c.Shape()), want)
		}
		want := unquote(t, value)
		if got := c.AppendState(nil, &v); !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", name, got, want)
		}
		var got T
		if n, err := c.DecodeState(string(want), &got); err != nil || n != len(want) || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: decoded %#v, %d bytes, %v", name, got, n, err)
		}
		return
	}
	t.Errorf("%s: no golden bytes", name)
}

// unquote reads bytes in hexadecimal, with texts between quotes as they are.
func unquote(t *testing.T, s string) (b []byte) {
	t.Helper()
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		plain, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, plain...)
	}
	return b
}

func TestGoldenState(t *testing.T) {
	goldenState(t, "bool", true)
	goldenState(t, "int", -2)
	goldenState(t, "int8", int8(-1))
	goldenState(t, "int16", int16(-2))
	goldenState(t, "int32", int32(64))
	goldenState(t, "int64", int64(-1<<63))
	goldenState(t, "uint", uint(2))
	goldenState(t, "uint8", uint8(200))
	goldenState(t, "uint16", uint16(200))
	goldenState(t, "uint32", uint32(0x01020304))
	goldenState(t, "uint64", uint64(1<<64-1))
	goldenState(t, "uintptr", uintptr(7))
	goldenState(t, "float32", float32(1))
	goldenState(t, "float64", 1.0)
	goldenState(t, "complex64", complex64(complex(1, -2)))
	goldenState(t, "complex128", complex(1, -2))
	goldenState(t, "string", "JFK")
	goldenState(t, "string-200", strings.Repeat("x", 200))
	goldenState(t, "time-utc", time.Unix(1, 2).UTC())
	goldenState(t, "time-local", time.Unix(-1, 300).Local())
	goldenState(t, "time-zone", time.Unix(1, 0).In(somewhere))
	goldenState(t, "duration", time.Duration(5))
}

func TestGoldenStateParts(t *testing.T) {
	goldenState(t, "flight", flightState{"JFK", []int64{-1, 2}})
	goldenState(t, "padded", struct {
		A int8
		_ int32
		B int64
		C bool
	}{A: 1, B: 2, C: true})
	goldenState(t, "empty", struct{}{})
	goldenState(t, "array", [3]byte{1, 2, 3})
	goldenState(t, "long-array", [17]string{0: "a", 16: "z"})
	goldenState(t, "bytes-nil", []byte(nil))
	goldenState(t, "bytes-empty", []byte{})
	goldenState(t, "strings", []string{"a", ""})
	goldenState(t, "map", map[string]int16{"a": 1})
	goldenState(t, "map-text", map[string]string{"a": "b"})
	goldenState(t, "map-nil", map[string]int16(nil))
	goldenState(t, "pointer", new(int16))
	goldenState(t, "pointer-nil", (*int16)(nil))
	goldenState(t, "node", node{Name: "a", Next: &node{}, Kids: []node{}})
	goldenState(t, "embedding", embedding{base{"i", []carrier{"A"}}, nil, time.Unix(0, 0).UTC(), 3})
	goldenState(t, "twice", struct{ A, B money }{money{1, 2}, money{3, 4}})
	goldenState(t, "registered", reversed{"JFK"})
	goldenState(t, "binary", temperature(1))
	goldenState(t, "gob", *big.NewInt(256))
	goldenState(t, "message-nil", (*duration)(nil))
	goldenState(t, "interface", shape(square{"s"}))
	goldenState(t, "interface-pointer", shape(&circle{1, nil}))
	goldenState(t, "interface-nil", shape(nil))
	enc := codecOf[*duration](t).AppendState(nil, new(durationpb.New(5)))
	if want := "\x03\x01\x10\x05"; string(enc) != want {
		t.Errorf("a message of 5 ns is % x, want % x", enc, want)
	}
}

// corruptShapes are none, each for another reason.
var corruptShapes = []string{
	"", "\x00", "\x02\x01", "\x01", "\x01\x01\x01", "\x01\x13", "\x01\x1f", "\x01\x2a", "\x01\x3f", "\x01\x3f\x00",
	"\x01\x22", "\x01\x22\x3f\x01", "\x01\x23\x11", "\x01\x24", "\x01\x21\x80\x00\x01", "\x01\x21\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01",
	"\x01\x20\x01\x01A", "\x01\x20\x02\x01A\x01", "\x01\x20\xff\x7f\x01A\x01", "\x01\x20\x01\x7fA\x01", "\x01\x20\x02\x01A\x01\x01A\x01",
	"\x01\x25\x02\x01B\x01\x01A\x01", "\x01\x28\x05main",
	"\x01\x20\x01\x01A\x3f\x00",         // struct{A itself}
	"\x01\x21\x02\x3f\x00",              // an array of itself
	"\x01\x21\x02\x20\x01\x01A\x3f\x00", // an array of structs of it
	// T1=struct{P *T2=struct{A T1}; C T2}: by value only through a reference that
	// comes later.
	"\x01\x20\x02\x01P\x24\x20\x01\x01A\x3f\x00\x01C\x3f\x02",
	"\x01" + strings.Repeat("\x22", 502) + "\x01",
	"\x01" + strings.Repeat("\x22", 1<<18) + "\x01",
}

func TestCorruptShapes(t *testing.T) {
	c := codecOf[latest](t)
	for _, s := range corruptShapes {
		if _, err := c.StateReader([]byte(s)); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("% .40x: %v", s, err)
		}
		if text := codec.Shape(s).String(); !strings.HasPrefix(text, "(no shape: ") {
			t.Errorf("% .40x is %s", s, text)
		}
	}
	if text := codec.Shape("\x01\x20\x01\x01A\x3f\x00").String(); !strings.Contains(text, "contains itself") {
		t.Errorf("a struct in itself is %s", text)
	}
	// Deep in values and not in types.
	deep := "\x01" + strings.Repeat("\x22", 499) + "\x01"
	if text := codec.Shape(deep).String(); text != strings.Repeat("[]", 499)+"bool" {
		t.Errorf("499 slices are %s", text)
	}
}

// TestShapesBounded has shapes that are small, and that would be large if each type
// in them took room where it is met, or what it claims.
func TestShapesBounded(t *testing.T) {
	c := codecOf[latest](t)
	read := func(what, shape string) {
		t.Helper()
		var err error
		used := allocated(func() {
			_, err = c.StateReader([]byte(shape))
			_ = codec.Shape(shape).String()
		})
		if err != nil && !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrIncompatible) {
			t.Error(err)
		}
		if bound := uint64(4<<20 + 1000*len(shape)); used > bound {
			t.Errorf("%s: %d bytes allocated for %d, bound %d", what, used, len(shape), bound)
		}
	}
	// Each struct says that it has as many fields as could follow.
	claims := strings.Repeat("\x20\xff\xff\x01\x01A", 400)
	read("claims", "\x01"+claims+strings.Repeat("\x00", 200_000))
	// Each struct has two fields of the one before, from two booleans on.
	power := "\x20\x02\x01A\x01\x01B\x01"
	for i := range 60 {
		power = "\x20\x02\x01A" + power + "\x01B\x3f" + string([]byte{byte(60 - i)})
	}
	read("power", "\x01"+power)
	read("power that is gone", string(skipped("\x24"+power)))
	// A struct of pointers to structs, each of which points to the one before.
	const n = 10_000
	number := func(v int) string { return string(binary.AppendUvarint(nil, uint64(v))) }
	chain := "\x01\x20" + number(n+1) + "\x0500000\x24\x02"
	for i := range n - 1 {
		chain += fmt.Sprintf("\x05%05d\x24\x20\x01\x01Q\x3f%s", i+1, number(max(1, 2*i)))
	}
	chain += "\x01Q\x3f" + number(2*n-2)
	if _, err := c.StateReader([]byte(chain)); err == nil || !strings.Contains(err.Error(), ".Q") {
		t.Errorf("a chain of pointers that ends with an integer: %v", err)
	}
	read("chain", chain)
}

// TestBigShape has types that are too much to be written: values that nest deeply
// in others, and too many of them.
func TestBigShape(t *testing.T) {
	deep := reflect.TypeFor[*int]()
	for range 501 {
		deep = reflect.SliceOf(deep)
	}
	if _, err := codec.StateForType(deep); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("a deep type: %v", err)
	}
	var fields []reflect.StructField
	for i := range 300 {
		fields = append(fields, reflect.StructField{Name: "F" + strings.Repeat("x", 1000) + strings.Repeat("y", i), Type: reflect.TypeFor[int]()})
	}
	if _, err := codec.StateForType(reflect.StructOf(fields)); err == nil || !strings.Contains(err.Error(), "the limit is 262144") {
		t.Errorf("a type with long names: %v", err)
	}
}

// skipped is a shape of a struct whose only field, which latest has not, is of the
// given type.
func skipped(typ string) []byte { return []byte("\x01\x20\x01\x04Gone" + typ) }

// TestCorruptState has bytes that no value of a shape has, in fields that are gone.
func TestCorruptState(t *testing.T) {
	c := codecOf[latest](t)
	long := strings.Repeat("\xff", 9) + "\x01"
	for typ, src := range map[string]string{
		"\x02": "1234567", "\x11": "\x05abcd", "\x12": "123456789012", "\x22\x02": "\x0312345678", "\x22\x11": "\x03\x00",
		"\x23\x11\x01": "\x02\x01a", "\x24\x01": "\x02", "\x24\x02": "\x011", "\x25\x01\x01A\x01": "\x02\x00",
		"\x28\x01A": "\x05abcd", "\x21\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x11": "abc", "\x21\x03\x11": "\x01a\x01b",
		"\x22\x20\x00": long + "\xff", "\x22\x21\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x04": "\x02ab",
	} {
		r, err := c.StateReader(skipped(typ))
		if err != nil {
			t.Errorf("% x: %v", typ, err)
			continue
		}
		var v latest
		if n, err := r.Decode(src, &v); err == nil && n <= len(src) && typ != "\x22\x20\x00" || err != nil && !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("% x: % x took %d bytes, %v", typ, src, n, err)
		}
	}
	corruptState[bool](t, "\x02", "2 for a boolean")
	corruptState[bool](t, "", "1 bytes expected")
	corruptState[*bool](t, "\x02\x01", "2 for a pointer")
	corruptState[*int64](t, "\x011234567", "8 bytes expected")
	corruptState[string](t, "\x04JFK", "4 bytes expected")
	corruptState[[]int64](t, "\x041234567812345678", "3 elements of at least 8 bytes")
	corruptState[[]string](t, "\x82\x80\x80\x80\x80\x80\x80\x80\x01JFK", "elements of at least 1")
	corruptState[[20]string](t, strings.Repeat("\x00", 19), "20 bytes expected")
	corruptState[map[string]bool](t, "\x03\x01a\x01\x01a\x00", "a map of 2 elements with 1 different keys")
	corruptState[map[string]string](t, "\x03\x01a\x01c\x01a\x00", "a map of 2 elements with 1 different keys")
	corruptState[map[string]int64](t, "\xff\xff\xff\xff\x7f\x01a12345678", "elements of at least 9 bytes")
	corruptState[map[struct{}]struct{}](t, "\xff\xff\xff\xff\x7f", "with 1 different keys")
	corruptState[time.Time](t, "12345678\xff\xff\xff\xff1234", "bytes expected")
	corruptState[time.Time](t, "12345678\xff\xff\xff\xff\x00\x00\x00\x00", "nanoseconds")
	corruptState[time.Time](t, "12345678\x00\x00\x00\x00\x03\x00\x00\x00abc", "a zone of 3 bytes")
	corruptState[shape](t, "\x03", "type 3 of an interface that has 2")
	corruptState[shape](t, "\x01", "1 bytes expected")
	corruptState[celsius](t, "\x05abc", "5 bytes expected")
	corruptState[reversed](t, "\x01\x00", "a zero in it")
	// A list that never ends, of a type that contains itself: it is too deep.
	r, err := c.StateReader(skipped("\x24\x3f\x01"))
	if err != nil {
		t.Fatal(err)
	}
	var v latest
	if _, err := r.Decode(strings.Repeat("\x01", 2_000_000), &v); !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("two million pointers: %v", err)
	}
}

// corruptState checks that bytes are no value of a type, and why.
func corruptState[T any](t *testing.T, src, why string) {
	t.Helper()
	var v T
	if n, err := codecOf[T](t).DecodeState(src, &v); !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), why) || n != 0 {
		t.Errorf("%T: % x becomes %v, %d bytes: %v, want %s", v, src, v, n, err, why)
	}
}

// FuzzShape checks that any bytes are refused or are a shape that encodes to the
// same bytes, has a text, and makes a reader or not, in bounded memory.
func FuzzShape(f *testing.F) {
	c, err := codec.For[latest]()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(c.Shape()))
	for _, s := range corruptShapes {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, shape []byte) {
		again, err := codec.Reencode(shape)
		text := codec.Shape(shape).String()
		if (err != nil) != strings.HasPrefix(text, "(no shape") || len(text) > 2100 {
			t.Fatalf("%x: %v, and its text is %s", shape, err, text)
		}
		if err == nil && !bytes.Equal(again, shape) {
			t.Fatalf("%x becomes %x", shape, again)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, readErr := c.StateReader(shape)
		runtime.ReadMemStats(&after)
		if used, bound := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+10_000*len(shape)); used > bound {
			t.Errorf("%d bytes: %d bytes allocated, bound %d", len(shape), used, bound)
		}
		if readErr != nil && !errors.Is(readErr, codec.ErrCorrupt) && !errors.Is(readErr, codec.ErrIncompatible) || err != nil && readErr == nil {
			t.Errorf("%x: %v", shape, readErr)
		}
	})
}

// earlier is a record of before.
type earlier struct {
	E  []struct{}
	B  bool
	I  int8
	J  int64
	W  map[string][]earlier
	F  float32
	G  float32
	S  string
	Y  []byte
	A  [3]byte
	P  []struct{ units, cents, mills int32 }
	L  []string
	N  []struct{ Kids []node }
	V  shape
	Q  *earlier
	T  time.Time
	M  map[string]string
	X  map[int32][]earlier
	H  big.Int
	K  reversed
	At time.Time
	O  celsius
	Z  *duration
}

// latest is what became of it: every operation is in it.
type latest struct {
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
	Q  *latest
	M  map[string]string
	X  map[int32][]latest
	At time.Time
	V  shape
	H  big.Int
	K  reversed
	R  [2]struct{ W string }
	E  []struct{}
}

// FuzzState checks D4: any bytes, as a value of today or of before.
func FuzzState(f *testing.F) {
	was, err := codec.For[earlier]()
	if err != nil {
		f.Fatal(err)
	}
	now, err := codec.For[latest]()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(was.Shape()), string(was.AppendState(nil, &earlier{O: temperature(0)})))
	f.Add([]byte(was.Shape()), string(was.AppendState(nil, &earlier{
		E: make([]struct{}, 3), B: true, I: -5, J: 7, W: map[string][]earlier{"a": {}}, F: 1, G: 2, S: "s", Y: []byte{1}, L: []string{"a"},
		N: []struct{ Kids []node }{{[]node{{Name: "n"}}}}, V: square{"s"}, Q: &earlier{O: temperature(1)}, T: time.Unix(1, 2).In(somewhere),
		M: map[string]string{"k": "v"}, X: map[int32][]earlier{3: {}}, At: time.Unix(1, 2).UTC(), O: temperature(3), Z: durationpb.New(3),
	})))
	f.Add([]byte(now.Shape()), string(now.AppendState(nil, &latest{})))
	f.Add([]byte(now.Shape()), string(now.AppendState(nil, &latest{X: map[int32][]latest{3: {}}, Q: &latest{V: &circle{1, square{}}}, H: *big.NewInt(5)})))
	f.Add(skipped("\x22\x3f\x01"), "\x03\x02\x01\x00")
	f.Fuzz(func(t *testing.T, shape []byte, src string) {
		r, err := now.StateReader(shape)
		if err != nil {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var v latest
		n, err := r.Decode(src, &v)
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
		enc := string(now.AppendState(nil, &v))
		var again latest
		if n, err := now.DecodeState(enc, &again); err != nil || n != len(enc) {
			t.Fatalf("%#v does not decode again: %v", v, err)
		}
		if third := now.AppendState(nil, &again); len(v.X) < 2 && len(v.M) < 2 && len(third) != len(enc) {
			t.Errorf("%x becomes %x", enc, third)
		}
	})
}
