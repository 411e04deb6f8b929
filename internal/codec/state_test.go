package codec_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/codec"
)

// oneOrder reports whether no map in v has more than one key, so that its encoding
// is the same each time.
func oneOrder(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map:
		if v.Len() > 1 {
			return false
		}
		for i := v.MapRange(); i.Next(); {
			if !oneOrder(i.Value()) {
				return false
			}
		}
	case reflect.Pointer:
		return v.IsNil() || oneOrder(v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !oneOrder(v.Index(i)) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().PkgPath() != "time" && !oneOrder(v.Field(i)) {
				return false
			}
		}
	}
	return true
}

// TestStateZoo takes random values of random types there and back (D1), by the
// programs of all platforms, and compares the encoding with the model.
func TestStateZoo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 4)
		s, err := codec.StateForType(typ)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		want, got, portable := reflect.New(typ), reflect.New(typ), reflect.New(typ)
		fill(t, want.Elem())
		fill(t, got.Elem())
		enc := string(s.Append([]byte("before"), want))
		if !strings.HasPrefix(enc, "before") {
			t.Fatalf("%v: what was there has changed", typ)
		}
		enc = enc[len("before"):]
		if oneOrder(want.Elem()) {
			if model := string(modelState(nil, want.Elem())); enc != model {
				t.Fatalf("%v: %#v is % x, want % x", typ, want.Elem(), enc, model)
			}
			if p := string(s.AppendPortable(nil, want)); enc != p {
				t.Fatalf("%v: %#v is % x, and elsewhere % x", typ, want.Elem(), enc, p)
			}
		}
		n, err := s.Decode(enc+"after", got)
		if err != nil || n != len(enc) {
			t.Fatalf("%v: decoded %d of %d bytes: %v", typ, n, len(enc), err)
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Fatalf("%v: decoded %#v, want %#v", typ, got.Elem(), want.Elem())
		}
		if n, err := s.DecodePortable(enc, portable); err != nil || n != len(enc) || !reflect.DeepEqual(portable.Interface(), want.Interface()) {
			t.Fatalf("%v: elsewhere decoded %#v, want %#v: %v", typ, portable.Elem(), want.Elem(), err)
		}
		for cut := range enc {
			if _, err := s.Decode(enc[:cut], reflect.New(typ)); err == nil {
				t.Fatalf("%v: %d of %d bytes decoded", typ, cut, len(enc))
			}
		}
	})
}

// drawChange draws what becomes of a type in the next version of a program.
func drawChange(t *rapid.T, was reflect.Type) reflect.Type {
	what := rapid.IntRange(0, 19).Draw(t, "change")
	switch {
	case what == 0:
		return drawType(t, 1)
	case was.PkgPath() == "time":
		return was
	}
	switch was.Kind() {
	case reflect.Struct:
		return drawFields(t, was)
	case reflect.Slice:
		return reflect.SliceOf(drawChange(t, was.Elem()))
	case reflect.Pointer:
		return reflect.PointerTo(drawChange(t, was.Elem()))
	case reflect.Array:
		n := was.Len()
		if what == 1 {
			n++
		}
		return reflect.ArrayOf(n, drawChange(t, was.Elem()))
	case reflect.Map:
		key := was.Key()
		if what == 1 {
			key = rapid.SampledFrom(keyTypes).Draw(t, "key")
		}
		return reflect.MapOf(key, drawChange(t, was.Elem()))
	case reflect.Bool, reflect.String:
		return was
	}
	if wider := wideningsOf(was); what < 12 && len(wider) > 0 {
		return rapid.SampledFrom(wider).Draw(t, "wider")
	}
	return was
}

// drawStruct draws a struct.
func drawStruct(t *rapid.T) reflect.Type {
	fields := make([]reflect.StructField, rapid.IntRange(0, 5).Draw(t, "fields"))
	for i := range fields {
		fields[i] = reflect.StructField{Name: fmt.Sprint("F", i), Type: drawType(t, 3)}
	}
	return reflect.StructOf(fields)
}

func wideningsOf(was reflect.Type) (wider []reflect.Type) {
	for _, t := range basicTypes {
		if t.PkgPath() == "" && modelCompatible(was, t) {
			wider = append(wider, t)
		}
	}
	return wider
}

// drawFields draws a struct with fields of another that have changed, and others.
func drawFields(t *rapid.T, was reflect.Type) reflect.Type {
	var fields []reflect.StructField
	for i := range was.NumField() {
		if rapid.IntRange(0, 4).Draw(t, "gone") > 0 {
			fields = append(fields, reflect.StructField{Name: was.Field(i).Name, Type: drawChange(t, was.Field(i).Type)})
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "new") {
		fields = append(fields, reflect.StructField{Name: fmt.Sprint("New", i), Type: drawType(t, 1)})
	}
	return reflect.StructOf(slices.Clone(rapid.Permutation(fields).Draw(t, "order")))
}

// TestEvolutionAgainstModel reads random values of random types as what became of
// their types.
func TestEvolutionAgainstModel(t *testing.T) {
	read, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		was := drawStruct(t)
		now := drawChange(t, was)
		old, err := codec.StateForType(was)
		if err != nil {
			t.Fatal(err)
		}
		s, err := codec.StateForType(now)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := s.Reader(old.Shape())
		if want := modelCompatible(was, now); (err == nil) != want {
			t.Fatalf("%v becomes %v: %v, want compatible: %t", was, now, err, want)
		}
		if err != nil {
			refused++
			return
		}
		read++
		v, want, got := reflect.New(was), reflect.New(now), reflect.New(now)
		fill(t, v.Elem())
		modelEvolve(want.Elem(), v.Elem())
		enc := string(old.Append(nil, v))
		n, err := reader.Decode(enc+"after", got)
		if err != nil || n != len(enc) {
			t.Fatalf("%v becomes %v: decoded %d of %d bytes: %v", was, now, n, len(enc), err)
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Fatalf("%v becomes %v: %#v becomes %#v, want %#v", was, now, v.Elem(), got.Elem(), want.Elem())
		}
		for cut := range enc {
			if _, err := reader.Decode(enc[:cut], reflect.New(now)); err == nil {
				t.Fatalf("%v becomes %v: %d of %d bytes decoded", was, now, cut, len(enc))
			}
		}
	})
	if read == 0 || refused == 0 {
		t.Errorf("%d changes were read and %d refused: nothing was tested", read, refused)
	}
}
