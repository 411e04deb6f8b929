package codec_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/codec"
)

// drawType draws a type that the codec supports, of types that reflection can
// make.
func drawType(t *rapid.T, depth int) reflect.Type {
	kind := rapid.IntRange(0, 20).Draw(t, "kind")
	if depth == 0 {
		kind = min(kind, 15)
	}
	inner := func() reflect.Type { return drawType(t, depth-1) }
	switch kind {
	case 16:
		return reflect.SliceOf(inner())
	case 17:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), inner())
	case 18:
		return reflect.PointerTo(inner())
	case 19:
		return reflect.MapOf(rapid.SampledFrom(keyTypes).Draw(t, "key"), inner())
	case 20:
		fields := make([]reflect.StructField, rapid.IntRange(0, 4).Draw(t, "fields"))
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprint("F", i), Type: inner()}
		}
		return reflect.StructOf(fields)
	}
	return basicTypes[kind]
}

var basicTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](),
	reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](),
	reflect.TypeFor[float64](), reflect.TypeFor[complex64](), reflect.TypeFor[time.Time](), reflect.TypeFor[string](),
}

var keyTypes = []reflect.Type{
	reflect.TypeFor[string](), reflect.TypeFor[int32](), reflect.TypeFor[bool](), reflect.TypeFor[[2]uint16](),
	reflect.TypeFor[struct{ A, B string }](), reflect.TypeFor[struct{}](),
}

// fill gives v a random value.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-200, 200), rapid.Just(int64(math.MinInt64))).Draw(t, "int"))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300)).Draw(t, "uint"))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(rapid.Float32().Draw(t, "float"))))
	case reflect.Complex64:
		v.SetComplex(complex(float64(rapid.Float32().Draw(t, "re")), float64(rapid.Float32().Draw(t, "im"))))
	case reflect.String:
		s := rapid.String().Draw(t, "string")
		v.SetString(strings.Repeat(s, rapid.SampledFrom([]int{1, 1, 1, 40}).Draw(t, "times")))
	default:
		fillParts(t, v)
	}
}

func fillParts(t *rapid.T, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(drawTime(t)))
		return
	}
	n := rapid.IntRange(-1, 4).Draw(t, "n")
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Pointer:
		if n >= 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		if n >= 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for range n {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, k)
			fill(t, e)
			v.SetMapIndex(k, e)
		}
	}
}

func drawTime(t *rapid.T) time.Time {
	at := time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec"))
	return at.In(rapid.SampledFrom([]*time.Location{time.UTC, time.Local, somewhere}).Draw(t, "location"))
}

// somewhere is a fixed zone as the codec makes them: the zone cache returns one
// location per name and offset, so that decoded times are deeply equal to it.
var somewhere = func() *time.Location {
	c, err := codec.For[time.Time]()
	if err != nil {
		panic(err)
	}
	var t time.Time
	v := time.Now().In(time.FixedZone("SOME", -12345))
	if _, err := c.Decode(string(c.Append(nil, &v)), &t); err != nil {
		panic(err)
	}
	return t.Location()
}()

// TestZoo takes random values of random types there and back (D1), into memory
// that held another value, and cuts every encoding short.
func TestZoo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 4)
		c, err := codec.ForType(typ)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		want, got := reflect.New(typ), reflect.New(typ)
		fill(t, want.Elem())
		fill(t, got.Elem())
		enc := string(c.Append([]byte("before"), want))
		if !strings.HasPrefix(enc, "before") {
			t.Fatalf("%v: Append changed what was there", typ)
		}
		enc = enc[len("before"):]
		n, err := c.Decode(enc+"after", got)
		if err != nil || n != len(enc) {
			t.Fatalf("%v: decoded %d of %d bytes: %v", typ, n, len(enc), err)
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Fatalf("%v: decoded %#v, want %#v", typ, got.Elem(), want.Elem())
		}
		for cut := range enc {
			if _, err := c.Decode(enc[:cut], reflect.New(typ)); err == nil {
				t.Fatalf("%v: %d of %d bytes decoded", typ, cut, len(enc))
			}
		}
	})
}
