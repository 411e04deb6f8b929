package key_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/key"
)

// shapeIs checks a shape against bytes that were written by hand from the package
// documentation, and its text. State of users depends on each: add some, never
// change one.
func shapeIs[K comparable](t *testing.T, want, text string) {
	t.Helper()
	k := kindOf[K](t)
	if got := k.Shape(); string(got) != want || got.String() != text {
		t.Errorf("%T: % x, %v; want % x, %s", *new(K), []byte(got), got, want, text)
	}
	if err := k.Accepts([]byte(want)); err != nil {
		t.Error(err)
	}
}

func TestGoldenShapes(t *testing.T) {
	shapeIs[bool](t, "\x01\x01", "bool")
	shapeIs[int8](t, "\x01\x02", "int8")
	shapeIs[int16](t, "\x01\x03", "int16")
	shapeIs[int32](t, "\x01\x04", "int32")
	shapeIs[int64](t, "\x01\x05", "int64")
	shapeIs[int](t, "\x01\x05", "int64")
	shapeIs[uint8](t, "\x01\x06", "uint8")
	shapeIs[uint16](t, "\x01\x07", "uint16")
	shapeIs[uint32](t, "\x01\x08", "uint32")
	shapeIs[uint64](t, "\x01\x09", "uint64")
	shapeIs[uint](t, "\x01\x09", "uint64")
	shapeIs[string](t, "\x01\x0a", "string")
	shapeIs[userID](t, "\x01\x0a", "string")
	shapeIs[airport](t, "\x01\x0b\x03", "[3]uint8")
	shapeIs[[200]byte](t, "\x01\x0b\xc8\x01", "[200]uint8")
	shapeIs[[3]int32](t, "\x01\x0d\x03\x04", "[3]int32")
	shapeIs[[2]airport](t, "\x01\x0d\x02\x0b\x03", "[2][3]uint8")
	shapeIs[struct{}](t, "\x01\x0c\x00", "struct{}")
	shapeIs[[0]byte](t, "\x01\x0c\x00", "struct{}")
	shapeIs[[7]struct{}](t, "\x01\x0c\x00", "struct{}")
	shapeIs[wrapped](t, "\x01\x0a", "string")
	shapeIs[wide](t, "\x01\x0d\x09\x09", "[9]uint64")
	shapeIs[pair](t, "\x01\x0c\x02\x01A\x05\x01B\x05", "struct{A int64; B int64}")
	shapeIs[struct{ P pair }](t, "\x01\x0c\x02\x01A\x05\x01B\x05", "struct{A int64; B int64}")
	shapeIs[padded](t, "\x01\x0c\x03\x01A\x02\x01B\x05\x01c\x01", "struct{A int8; B int64; c bool}")
	shapeIs[nested](t, "\x01\x0c\x04\x07Carrier\x0a\x05Route\x0c\x02\x04From\x0b\x03\x02To\x0b\x03\x04Legs\x0d\x02\x03\x04tail\x0a",
		"struct{Carrier string; Route struct{From [3]uint8; To [3]uint8}; Legs [2]int16; tail string}")
}

// moved checks whether keys of one type are accepted as those of another.
func moved[Was, Now comparable](t *testing.T, why ...string) {
	t.Helper()
	was, now := kindOf[Was](t).Shape(), kindOf[Now](t)
	err := now.Accepts(was)
	if len(why) == 0 {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, key.ErrIncompatible) {
		t.Errorf("%v becomes %v: %v", was, now.Shape(), err)
		return
	}
	for _, w := range append(why, was.String(), now.Shape().String(), reflect.TypeFor[Now]().String()) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v becomes %v: the error does not say %q: %v", was, now.Shape(), w, err)
		}
	}
}

func TestAccepts(t *testing.T) {
	type renamed struct{ A, B int64 }
	moved[pair, renamed](t)
	moved[string, wrapped](t)
	moved[wrapped, userID](t)
	moved[int32, int64](t)
	moved[int, int64](t)
	moved[int64, int](t)
	moved[uint, uint64](t)
	moved[uint32, int64](t)
	moved[[2]uint8, struct{ B [2]uint8 }](t)
	moved[struct{ A, B int8 }, pair](t)
	moved[struct{ S struct{ ID string } }, string](t)
	moved[[3]int16, [3]int32](t)
	moved[int64, int32](t, "int64 was written, and it is now int32")
	moved[uint64, int64](t, "uint64 was written")
	moved[int8, uint64](t, "int8 was written")
	moved[string, int64](t, "string was written")
	moved[bool, uint8](t, "bool was written")
	moved[[3]byte, [4]byte](t, "[3]uint8 was written, and it is now [4]uint8")
	moved[[3]byte, string](t, "")
	moved[[3]byte, [3]int32](t, "[3]uint8 was written, and it is now [3]int32")
	moved[[3]int64, [2]int64](t, "")
	moved[[3]int64, [3]int32](t, "[]: int64 was written")
	moved[pair, struct{ B, A int64 }](t, "field 1 was A, and it is now B")
	moved[pair, struct{ A, C int64 }](t, "field 2 was B, and it is now C")
	moved[pair, [2]int64](t, "")
	moved[pair, struct{ A, B, C int64 }](t, "")
	moved[pair, int64](t, "")
	moved[struct {
		Carrier string
		Route   struct{ From, To int64 }
	}, struct {
		Carrier string
		Route   struct{ From, To string }
	}](t, "Route.From: int64 was written, and it is now string")
}

// TestAcceptedKeys checks K4 on random types and what random others accept.
func TestAcceptedKeys(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		wide := widened(t, typ)
		was, err := key.ForType(typ)
		if err != nil {
			t.Fatal(err)
		}
		now, err := key.ForType(wide)
		if err != nil {
			t.Fatal(err)
		}
		other := drawType(t, 1)
		another, err := key.ForType(other)
		if err != nil {
			t.Fatal(err)
		}
		if err := now.Accepts(was.Shape()); err != nil {
			t.Fatalf("%v becomes %v: %v", typ, wide, err)
		}
		v := reflect.New(typ)
		fill(t, v.Elem())
		enc := was.Append(nil, v)
		check := func(kind key.Dynamic, typ reflect.Type) {
			k := reflect.New(typ)
			if n, err := kind.Decode(enc, k); err != nil || n != len(enc) {
				t.Fatalf("%#v becomes %v: %d of %d bytes, %v", v.Elem(), typ, n, len(enc), err)
			}
			if again := kind.Append(nil, k); !bytes.Equal(again, enc) || kind.Hash(k) != was.Hash(v) {
				t.Fatalf("%#v becomes %#v: % x, was % x", v.Elem(), k.Elem(), again, enc)
			}
		}
		check(now, wide)
		if another.Accepts(was.Shape()) == nil {
			accepted++
			check(another, other)
		}
	})
	if accepted == 0 {
		t.Error("no type accepted keys of another")
	}
}

// widened draws a type that has all keys of another.
func widened(t *rapid.T, typ reflect.Type) reflect.Type {
	switch typ.Kind() {
	case reflect.Struct:
		fields := make([]reflect.StructField, typ.NumField())
		for i := range fields {
			fields[i] = reflect.StructField{Name: typ.Field(i).Name, Type: widened(t, typ.Field(i).Type)}
		}
		typ = reflect.StructOf(fields)
	case reflect.Array:
		if typ.Elem().Kind() == reflect.Uint8 {
			return typ
		}
		typ = reflect.ArrayOf(typ.Len(), widened(t, typ.Elem()))
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return rapid.SampledFrom([]reflect.Type{typ, reflect.TypeFor[int64](), reflect.TypeFor[int]()}).Draw(t, "wider")
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		if typ.Kind() == reflect.Uint8 {
			return typ // An array of bytes is another key than one of integers.
		}
		return rapid.SampledFrom([]reflect.Type{typ, reflect.TypeFor[int64](), reflect.TypeFor[uint64]()}).Draw(t, "wider")
	}
	if rapid.IntRange(0, 4).Draw(t, "wrap") == 0 {
		return reflect.StructOf([]reflect.StructField{{Name: fmt.Sprint("W", rapid.IntRange(0, 9).Draw(t, "name")), Type: typ}})
	}
	return typ
}

// corruptShapes are none, each for another reason.
var corruptShapes = []string{
	"", "\x00", "\x02\x01", "\x01", "\x01\x00", "\x01\x0e", "\x01\x01\x01", "\x01\x0b", "\x01\x0b\x00", "\x01\x0b\x80\x00", "\x01\x0b\x83\x00",
	"\x01\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\x0c", "\x01\x0c\x01\x01A\x01", "\x01\x0c\x02\x01A\x01", "\x01\x0c\x02\x01A\x01\x01A\x01",
	"\x01\x0c\x02\x01A\x01\x01B\x0c\x00", "\x01\x0c\xff\x7f\x01A", "\x01\x0c\x02\x7fA\x01\x01B\x01", "\x01\x0d\x00\x01", "\x01\x0d\x02", "\x01\x0d\x02\x0c\x00",
	"\x01" + strings.Repeat("\x0d\x01", 501) + "\x01", "\x01" + strings.Repeat("\x0d\x01", 1<<17) + "\x01",
}

func TestCorruptShapes(t *testing.T) {
	k := kindOf[nested](t)
	for _, s := range corruptShapes {
		if err := k.Accepts([]byte(s)); !errors.Is(err, key.ErrCorrupt) {
			t.Errorf("% .40x: %v", s, err)
		}
		if text := key.Shape(s).String(); !strings.HasPrefix(text, "(no shape: ") {
			t.Errorf("% .40x is %s", s, text)
		}
	}
	claims := "\x01" + strings.Repeat("\x0c\xff\xff\x01\x01A", 400) + strings.Repeat("\x00", 200_000)
	if n := testing.AllocsPerRun(1, func() { _ = k.Accepts([]byte(claims)) }); n > 4000 {
		t.Errorf("structs that claim many fields allocate %v times", n)
	}
	if _, err := key.For[struct {
		A string
		B [1][1][1][1][1][1][1][1]int64
	}](); err != nil {
		t.Error(err)
	}
	typ := reflect.TypeFor[int64]()
	for range 501 {
		typ = reflect.ArrayOf(1, typ)
	}
	if _, err := key.ForType(typ); err == nil || !strings.Contains(err.Error(), "nested deeper than 500") {
		t.Errorf("501 arrays in each other: %v", err)
	}
	long := kindOf[[1][1][1]struct {
		A [4]bool
		B struct {
			C, D, E, F, G, H, I, J, K, L, M, N, O, P [2]struct{ A, B, C, D, E, F struct{ A, B, C, D string } }
		}
	}](t).Shape().String()
	if !strings.HasSuffix(long, "...") || len(long) > 2100 {
		t.Errorf("a long text of %d bytes: %s", len(long), long)
	}
}

// FuzzShape checks that any bytes are refused or are a shape that encodes to the
// same bytes, has a text, and is accepted or not.
func FuzzShape(f *testing.F) {
	type all struct {
		B bool
		S string
		N struct {
			I int8
			U uint32
		}
		A [3]struct {
			X [2]byte
			Y int
		}
	}
	k, err := key.For[all]()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(k.Shape()))
	for _, s := range corruptShapes {
		if len(s) < 2000 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, shape []byte) {
		again, err := key.Reencode(shape)
		text := key.Shape(shape).String()
		if (err != nil) != strings.HasPrefix(text, "(no shape") || len(text) > 2100 {
			t.Fatalf("%x: %v, and its text is %s", shape, err, text)
		}
		if err == nil && !bytes.Equal(again, shape) {
			t.Fatalf("%x becomes %x", shape, again)
		}
		if err := k.Accepts(shape); err != nil && !errors.Is(err, key.ErrCorrupt) && !errors.Is(err, key.ErrIncompatible) {
			t.Errorf("%x: %v", shape, err)
		}
	})
}
