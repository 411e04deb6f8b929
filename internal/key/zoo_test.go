package key_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/key"
)

// drawType draws a type of keys that reflection can make.
func drawType(t *rapid.T, depth int) reflect.Type {
	kind := rapid.IntRange(0, len(leafTypes)+1).Draw(t, "kind")
	if depth == 0 {
		kind %= len(leafTypes)
	}
	switch kind {
	case len(leafTypes):
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), drawType(t, depth-1))
	case len(leafTypes) + 1:
		fields := make([]reflect.StructField, rapid.IntRange(0, 4).Draw(t, "fields"))
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprint("F", i), Type: drawType(t, depth-1)}
		}
		return reflect.StructOf(fields)
	}
	return leafTypes[kind]
}

var leafTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](),
	reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](),
	reflect.TypeFor[uint64](), reflect.TypeFor[string](), reflect.TypeFor[userID](), reflect.TypeFor[airport](),
}

func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.String:
		v.SetString(text().Draw(t, "string"))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	default:
		n := integer[int64]().Draw(t, "integer")
		if v.CanInt() {
			v.SetInt(n)
		} else {
			v.SetUint(uint64(n))
		}
	}
}

// TestZoo compares random keys of random types with the reference.
func TestZoo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		kind, err := key.ForType(typ)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		v, got := reflect.New(typ), reflect.New(typ)
		fill(t, v.Elem())
		fill(t, got.Elem())
		want := referenceOf(v.Elem().Interface())
		if h := kind.Hash(v); h != want.hash() {
			t.Fatalf("%v: the hash of %#v is %#x, want %#x", typ, v.Elem(), h, want.hash())
		}
		if enc := kind.Append(nil, v); !bytes.Equal(enc, want.encoded) {
			t.Fatalf("%v: %#v is % x, want % x", typ, v.Elem(), enc, want.encoded)
		}
		n, err := kind.Decode(append(want.encoded[:len(want.encoded):len(want.encoded)], 0xff), got)
		if err != nil || n != len(want.encoded) || !got.Elem().Equal(v.Elem()) {
			t.Fatalf("%v: decoded %#v, %d bytes, %v; want %#v", typ, got.Elem(), n, err, v.Elem())
		}
	})
}
