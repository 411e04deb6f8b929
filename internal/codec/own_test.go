package codec_test

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"                  //nolint:depguard // What users send.
	"google.golang.org/protobuf/types/known/durationpb" //nolint:depguard // What users send.
	"google.golang.org/protobuf/types/known/structpb"   //nolint:depguard // What users send.

	"github.com/weirstream/weir/internal/codec"
)

// duration is a protobuf message.
type duration = durationpb.Duration

// reversed has a registered codec, which is needed for none of its fields.
type reversed struct{ Text string }

// code has no pointers, and a registered codec all the same: the number means
// nothing in another process.
type code int32

// opaque could not be encoded but for its codec.
type opaque struct {
	f    func() string
	lock chan int //nolint:unused // It is what cannot be encoded.
}

// shape is an interface whose values are squares or pointers to circles.
type (
	shape  interface{ area() int }
	square struct{ Side string }
	circle struct {
		Radius int
		Inner  shape
	}
	// triangle is not registered.
	triangle struct{}
)

func (s square) area() int  { return len(s.Side) * len(s.Side) }
func (c *circle) area() int { return 3 * c.Radius * c.Radius }
func (triangle) area() int  { return 0 }
func reverse(b []byte)      { slices.Reverse(b) }

var codes = []string{"none", "some"}

var _ = func() (none struct{}) {
	if err := errors.Join(
		codec.Register(
			func(dst []byte, v reversed) ([]byte, error) {
				if v.Text == "never" {
					return dst[:0], nil
				}
				if v.Text == "refused" {
					return nil, errors.New("out of paper")
				}
				start := len(dst)
				dst = append(dst, v.Text...)
				reverse(dst[start:])
				return dst, nil
			},
			func(src []byte) (reversed, error) {
				if bytes.Contains(src, []byte{0}) {
					return reversed{}, errors.New("a zero in it")
				}
				reverse(src)
				return reversed{string(src)}, nil
			}),
		codec.Register(
			func(dst []byte, v code) ([]byte, error) { return append(dst, codes[v]...), nil },
			func(src []byte) (code, error) {
				i := slices.Index(codes, string(src))
				if i < 0 {
					return 0, errors.New("unknown code")
				}
				return code(i), nil
			}),
		codec.Register(
			func(dst []byte, v opaque) ([]byte, error) { return append(dst, v.f()...), nil },
			func(src []byte) (opaque, error) {
				text := string(src)
				return opaque{f: func() string { return text }}, nil
			}),
		codec.RegisterType[square](),
		codec.RegisterType[*circle](),
		codec.RegisterType[square](),
		codec.RegisterType[string](),
	); err != nil {
		panic(err)
	}
	return none
}()

func TestRegistered(t *testing.T) {
	same(t, reversed{"weir"})
	same(t, reversed{})
	same(t, []reversed{{"a"}, {"bc"}, {strings.Repeat("long", 1000)}})
	same(t, map[reversed]*reversed{{"key"}: {"value"}})
	same(t, struct {
		A int64
		B code
		C [3]code
		D []code
		E map[code]string
	}{1, 1, [3]code{1, 0, 1}, []code{0, 1}, map[code]string{1: "one"}})
	if codecOf[code](t).Raw() || codecOf[[2]struct{ C code }](t).Raw() {
		t.Error("the memory of a type with a codec of its own is sent")
	}
	if enc := codecOf[code](t).Append(nil, new(code)); string(enc) != "\x04none" {
		t.Errorf("the codec was not used: %q", enc)
	}
	text := "kept"
	if got := roundTrip(t, struct{ O *opaque }{&opaque{f: func() string { return text }}}); got.O.f() != "kept" {
		t.Errorf("a function came back as one that returns %q", got.O.f())
	}
	c := codecOf[map[string]reversed](t)
	for text, want := range map[string]string{
		"never":   "map[string]codec_test.reversed[value] (codec_test.reversed): its codec returned less",
		"refused": "map[string]codec_test.reversed[value] (codec_test.reversed): out of paper",
	} {
		if err := encodingError(c, map[string]reversed{"k": {text}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	var v reversed
	if _, err := codecOf[reversed](t).Decode("\x01\x00", &v); !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), "a zero in it") {
		t.Errorf("a codec's error becomes %v", err)
	}
	f := func(dst []byte, _ reversed) ([]byte, error) { return dst, nil }
	g := func([]byte) (reversed, error) { return reversed{}, nil }
	if err := codec.Register(f, g); err == nil || !strings.Contains(err.Error(), "codec_test.reversed: one is registered already") {
		t.Errorf("a second codec: %v", err)
	}
	if err := codec.Register[triangle](nil, nil); err == nil {
		t.Error("no functions are a codec")
	}
}

// encodingError returns what Append panics with.
func encodingError[T any](c *codec.Codec[T], v T) (err error) {
	defer func() {
		err, _ = recover().(error)
		if err != nil && !errors.Is(err, codec.ErrEncode) {
			panic(err)
		}
	}()
	c.Append(nil, &v)
	return nil
}

func TestInterfaces(t *testing.T) {
	same(t, shape(square{"abc"}))
	same(t, []shape{nil, square{}, &circle{Radius: 2, Inner: &circle{Inner: square{"x"}}}, (*circle)(nil)})
	same(t, map[string]any{"a": "text", "b": square{"y"}, "c": nil})
	if err := encodingError(codecOf[struct{ Some []shape }](t), struct{ Some []shape }{[]shape{triangle{}}}); err == nil ||
		!strings.Contains(err.Error(), ".Some[] (codec_test.shape): its value is a codec_test.triangle, which is not registered") {
		t.Errorf("a value of a type that is not registered: %v", err)
	}
	for _, src := range []string{"", "\x02", "\x01\x00", "\x01\x00\x00\x00\x00", "\x01\xff\xff\xff\xff"} {
		bounded[shape](t, src)
	}
	if _, err := codec.For[struct{ E error }](); err == nil || !strings.Contains(err.Error(), ".E (error): the type of an interface's value is open") {
		t.Errorf("an interface that no registered type implements: %v", err)
	}
	if err := codec.RegisterType[shape](); err == nil {
		t.Error("an interface was registered as a type of values")
	}
	loop := &circle{}
	loop.Inner = loop
	if err := encodingError(codecOf[shape](t), shape(loop)); err == nil || !strings.Contains(err.Error(), "is it cyclic?") {
		t.Errorf("a cycle through interfaces: %v", err)
	}
}

// TestMessages compares protobuf messages by what protobuf says of equality.
func TestMessages(t *testing.T) {
	type record struct {
		ID    string
		Took  *durationpb.Duration
		Tree  *structpb.Struct
		Parts []*structpb.Value
		By    map[string]*durationpb.Duration
	}
	tree, err := structpb.NewStruct(map[string]any{"a": 1.0, "b": []any{"x", nil}, "c": map[string]any{"d": true}})
	if err != nil {
		t.Fatal(err)
	}
	v := record{
		"id", &durationpb.Duration{Seconds: 1, Nanos: 128}, tree,
		[]*structpb.Value{structpb.NewStringValue("v"), nil, {}},
		map[string]*durationpb.Duration{"k": {Seconds: -3}},
	}
	got := roundTrip(t, v)
	equal := got.ID == v.ID && proto.Equal(got.Took, v.Took) && proto.Equal(got.Tree, v.Tree) && len(got.Parts) == 3 && len(got.By) == 1 && proto.Equal(got.By["k"], v.By["k"])
	for i := range v.Parts {
		equal = equal && proto.Equal(got.Parts[i], v.Parts[i]) && (got.Parts[i] == nil) == (v.Parts[i] == nil)
	}
	if !equal {
		t.Errorf("came back as %v, was %v", got, v)
	}
	c := codecOf[*structpb.Struct](t)
	first := c.Append(nil, &tree)
	for range 20 { // A map's entries come in any order.
		if again := c.Append(nil, &tree); !bytes.Equal(again, first) {
			t.Fatalf("the same message is % x and % x", first, again)
		}
	}
	// As encoding/hex of the wire format: field 1 is 1, field 2 is 128.
	d := &durationpb.Duration{Seconds: 1, Nanos: 128}
	if enc := codecOf[*durationpb.Duration](t).Append(nil, &d); string(enc) != "\x06\x01\x08\x01\x10\x80\x01" {
		t.Errorf("a message is % x", enc)
	}
	for _, src := range []string{"\x00", "\x01\x02", "\x02\x00\x00", "\x02\x01\x08", "\x05\x01"} {
		bounded[*durationpb.Duration](t, src)
	}
	bad := structpb.NewStringValue("\xff")
	if err := encodingError(codecOf[*structpb.Value](t), bad); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a message that cannot be encoded: %v", err)
	}
	// A struct that embeds a message has its methods and is none.
	type more struct {
		*durationpb.Duration
		Note string
	}
	if got := roundTrip(t, more{d, "note"}); got.Note != "note" || !proto.Equal(got.Duration, d) {
		t.Errorf("came back as %v", got)
	}
}

// TestBigNumbers: math/big keeps its data in unexported fields and has methods
// for encoding/gob only.
func TestBigNumbers(t *testing.T) {
	type amounts struct {
		Int   *big.Int
		Rat   *big.Rat
		Float big.Float
		None  *big.Int
	}
	v := amounts{Int: new(big.Int).Lsh(big.NewInt(-7), 300), Rat: big.NewRat(1, 3), Float: *big.NewFloat(2.5)}
	got := roundTrip(t, v)
	if got.Int.Cmp(v.Int) != 0 || got.Rat.Cmp(v.Rat) != 0 || got.Float.Cmp(&v.Float) != 0 || got.None != nil {
		t.Errorf("%v came back as %v", v, got)
	}
	bounded[big.Int](t, "\x02\xff\x00")
}

// growing and pairOf nest types that are made of type parameters.
type growing[V any] struct {
	Value V
	Pairs []pairOf[V, string]
}

type pairOf[A, B any] struct {
	A A
	B B
}

func TestGenerics(t *testing.T) {
	same(t, growing[pairOf[int8, *pairOf[string, bool]]]{
		Value: pairOf[int8, *pairOf[string, bool]]{1, &pairOf[string, bool]{"x", true}},
		Pairs: []pairOf[pairOf[int8, *pairOf[string, bool]], string]{{B: "y"}},
	})
}
