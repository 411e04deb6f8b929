package codec_test

import (
	"errors"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"  //nolint:depguard // What users send.
	"google.golang.org/protobuf/types/known/timestamppb" //nolint:depguard // What users send.

	"github.com/weirstream/weir/internal/codec"
)

// becomes writes a value of one type and reads it as one of another.
func becomes[Now, Was any](t *testing.T, was Was, want Now) {
	t.Helper()
	old, now := codecOf[Was](t), codecOf[Now](t)
	r, err := now.StateReader(old.Shape())
	if err != nil {
		t.Errorf("%v becomes %v: %v", old.Shape(), now.Shape(), err)
		return
	}
	enc := string(old.AppendState(nil, &was))
	got := want // It is overwritten.
	if n, err := r.Decode(enc+"after", &got); err != nil || n != len(enc) || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v becomes %#v, want %#v; %d of %d bytes, %v", was, got, want, n, len(enc), err)
	}
	var zero Now
	if n, err := r.Decode(enc, &zero); err != nil || n != len(enc) || !reflect.DeepEqual(zero, want) {
		t.Errorf("%#v becomes %#v where nothing was, want %#v; %v", was, zero, want, err)
	}
	if same := reflect.DeepEqual(old.Shape(), now.Shape()); r.Changed() == same {
		t.Errorf("%v becomes %v: changed: %t", old.Shape(), now.Shape(), r.Changed())
	}
}

// refusedState checks that values of one type are not read as those of another.
func refusedState[Was, Now any](t *testing.T, parts ...string) {
	t.Helper()
	old, now := codecOf[Was](t), codecOf[Now](t)
	_, err := now.StateReader(old.Shape())
	if !errors.Is(err, codec.ErrIncompatible) {
		t.Errorf("%v becomes %v: %v", old.Shape(), now.Shape(), err)
		return
	}
	for _, p := range append(parts, old.Shape().String(), now.Shape().String(), reflect.TypeFor[Now]().String()) {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%v becomes %v: the error does not say %q: %v", old.Shape(), now.Shape(), p, err)
		}
	}
}

type (
	countV1 struct {
		Key   uint64
		Count int32
		Sum   float32
	}
	countV2 struct {
		Max   int64
		Sum   float64
		Count int64
		Key   uint64
		Tags  []string
	}
	// A list whose elements have gained a field and lost one, on every level.
	listV1 struct {
		Name string
		Gone map[string][]*listV1
		Next *listV1
		Kids []listV1
	}
	listV2 struct {
		Kids  []listV2
		Next  *listV2
		Name  string
		Since time.Time
	}
	carrierV1 struct {
		base
		N int8
	}
	carrierV2 struct {
		N int
		base
		Ref *carrierV2
	}
)

func TestEvolution(t *testing.T) {
	becomes(t, countV1{7, -3, 1.5}, countV2{Key: 7, Count: -3, Sum: 1.5})
	becomes(t, countV2{1, 2, 3, 4, []string{"a"}}, struct{ Tags []string }{[]string{"a"}})
	becomes(t, countV2{1, 2, 3, 4, nil}, struct{ Other bool }{})
	becomes(t, struct{ Bool bool }{true}, struct {
		_    int64
		Bool bool
		Fill [3]*string
	}{Bool: true})
	becomes(t,
		listV1{"a", map[string][]*listV1{"x": {nil, {Name: "gone"}}}, &listV1{Name: "b"}, []listV1{{Name: "c"}, {}}},
		listV2{Name: "a", Next: &listV2{Name: "b"}, Kids: []listV2{{Name: "c"}, {}}})
	becomes(t, carrierV1{base{"i", []carrier{"A"}}, -5}, carrierV2{N: -5, base: base{"i", []carrier{"A"}}})
	becomes(t, [20]countV1{19: {7, 1, 0.5}}, [20]countV2{19: {Key: 7, Count: 1, Sum: 0.5}})
	becomes(t, map[string]countV1{"a": {Count: 1}, "b": {Count: 2}}, map[string]countV2{"a": {Count: 1}, "b": {Count: 2}})
	becomes(t, map[[2]int16]*countV1{{1, 2}: nil}, map[[2]int16]*countV2{{1, 2}: nil})
	becomes(t, []int8{-1, 1}, []int64{-1, 1})
	becomes(t, []uint8{255}, []int16{255})
	becomes(t, []struct{ A, B int32 }{{1, 2}}, []struct{ B, A int32 }{{2, 1}})
	becomes(t, []struct{ A int32 }{{1}, {2}}, []struct{}{{}, {}})
	becomes(t, []struct{}{{}, {}}, []struct{}{{}, {}})
	becomes(t, []struct {
		A int64
		B string
	}{{1, "gone"}, {2, "too"}}, []struct{ A int64 }{{1}, {2}})
	becomes(t, []string{"a", ""}, []carrier{"a", ""})
	becomes(t, time.Duration(5), int64(5))
	becomes(t, int(5), int64(5))
	becomes(t, uintptr(5), uint64(5))
	becomes(t, time.Unix(1, 2).In(somewhere), time.Unix(1, 2).In(somewhere))
	becomes(t, struct{ A, B time.Time }{time.Unix(1, 0).In(somewhere), time.Unix(2, 0).UTC()}, struct{ B time.Time }{time.Unix(2, 0).UTC()})
}

// TestEvolutionOverwrites reads into a value that has everything.
func TestEvolutionOverwrites(t *testing.T) {
	was := codecOf[countV1](t)
	r, err := codecOf[countV2](t).StateReader(was.Shape())
	if err != nil {
		t.Fatal(err)
	}
	got := countV2{Max: 9, Sum: 9, Count: 9, Key: 9, Tags: []string{"old"}}
	tags := got.Tags
	if _, err := r.Decode(string(was.AppendState(nil, &countV1{1, 2, 3})), &got); err != nil || !reflect.DeepEqual(got, countV2{Key: 1, Count: 2, Sum: 3}) {
		t.Errorf("it became %#v, %v", got, err)
	}
	if tags[0] != "old" {
		t.Errorf("what it referred to became %v", tags)
	}
}

// TestStateNoAllocation has what most state is.
func TestStateNoAllocation(t *testing.T) {
	was := codecOf[countV1](t)
	r, err := codecOf[countV2](t).StateReader(was.Shape())
	if err != nil {
		t.Fatal(err)
	}
	v, got := countV1{1, 2, 3}, countV2{}
	dst := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() { dst = was.AppendState(dst[:0], &v) }); n != 0 {
		t.Errorf("encoding allocates %v times", n)
	}
	src := string(dst)
	if n := testing.AllocsPerRun(100, func() { _, err = r.Decode(src, &got) }); n != 0 || err != nil {
		t.Errorf("decoding allocates %v times, %v", n, err)
	}
}

// TestEvolutionOfOwn has what encodes itself, and interfaces.
func TestEvolutionOfOwn(t *testing.T) {
	number := big.NewInt(1 << 40)
	type v1 struct {
		O celsius
		R reversed
		B *big.Int
		C code
		U *url.URL
		D *duration
		S shape
		E shape
		N shape
	}
	type v2 struct {
		N   shape
		S   shape
		C   code
		B   *big.Int
		O   celsius
		New string
		R   reversed
	}
	was := v1{
		temperature(3),
		reversed{"abc"},
		number, 1, &url.URL{Host: "h"}, durationpb.New(5),
		&circle{2, square{"s"}}, &circle{1, &circle{}}, nil,
	}
	same := was
	same.D = nil // Messages are not deeply equal.
	becomes(t, same, same)
	becomes(t, was, v2{S: &circle{2, square{"s"}}, C: 1, B: number, O: temperature(3), R: reversed{"abc"}})
	becomes(t, was, struct{ C code }{1})
	c := codecOf[struct {
		New string
		D   *duration
	}](t)
	r, err := c.StateReader(codecOf[v1](t).Shape())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		New string
		D   *duration
	}
	if _, err := r.Decode(string(codecOf[v1](t).AppendState(nil, &was)), &got); err != nil || got.D.GetSeconds() != 0 || got.D.GetNanos() != 5 {
		t.Errorf("a message of 5 ns becomes %v, %v", got.D, err)
	}
}

func TestIncompatible(t *testing.T) {
	refusedState[struct{ A struct{ B string } }, struct{ A struct{ B int } }](t, ".A.B: string was written, and it is now int")
	refusedState[struct{ A struct{ B int } }, struct{ A []struct{ B int } }](t, ".A: struct{B int} was written, and it is now []struct{B int}")
	refusedState[struct{ A, B, C int64 }, struct{ A, B, C int32 }](t, ".A: int64 was written", ".B: int64", ".C: int64")
	refusedState[[]int64, []int32](t, "[]int32[]: int64 was written, and it is now int32")
	refusedState[[3]string, [4]string](t, "an array of 3 elements was written, and it has now 4")
	refusedState[[]byte, [4]byte](t)
	refusedState[[]byte, string](t)
	refusedState[*int, int](t)
	refusedState[bool, int8](t)
	refusedState[int8, uint64](t)
	refusedState[uint64, int64](t)
	refusedState[float64, float32](t)
	refusedState[int32, float64](t)
	refusedState[complex64, complex128](t)
	refusedState[map[int32]string, map[int64]string](t, "[key]: int32 was written, and it is now int64")
	refusedState[map[[2]int8]string, map[[3]int8]string](t, "[key]: an array")
	refusedState[map[struct{ A, B string }]int, map[struct{ B, A string }]int](t, "[key]", "must remain what it was")
	refusedState[map[struct{ A string }]int, map[struct{ A, B string }]int](t, "[key]")
	refusedState[map[string]int, map[string]string](t, "[value]: int was written")
	refusedState[[]struct{}, []struct{ A int }](t, "elements without content")
	refusedState[*duration, *timestamppb.Timestamp](t, "*google.protobuf.Duration was written, and it is now *google.protobuf.Timestamp")
	refusedState[reversed, opaque](t, "codec_test.reversed by its codec was written")
	refusedState[celsius, polar](t, "codec_test.celsius by UnmarshalBinary was written")
	refusedState[big.Int, big.Rat](t, "math/big.Int by GobDecode was written")
	refusedState[time.Time, int64](t, "time.Time was written, and it is now int64")
	refusedState[listV1, struct{ Next *struct{ Name int } }](t, ".Next.Name: string was written")
	refusedState[struct{ S shape }, struct{ S square }](t, ".S: T1=interface{")
}

// TestAlternativeGone has a value of an interface whose type is registered no more.
func TestAlternativeGone(t *testing.T) {
	const gone = "github.com/weirstream/weir/internal/codec_test.gone"
	c := codecOf[struct {
		S shape
		N int8
	}](t)
	// interface{gone struct{}; gone.other int64}, which only the first version had.
	written := "\x01\x20\x02\x01S\x25\x02" + string(rune(len(gone))) + gone + "\x20\x00\x06square\x06\x01N\x03"
	r, err := c.StateReader([]byte(written))
	if err != nil {
		t.Fatal(err)
	}
	v := struct {
		S shape
		N int8
	}{S: square{}}
	if n, err := r.Decode("\x00\x05", &v); err != nil || n != 2 || v.S != nil || v.N != 5 {
		t.Errorf("without a value: %#v, %d bytes, %v", v, n, err)
	}
	if _, err := r.Decode("\x01\x05", &v); !errors.Is(err, codec.ErrIncompatible) || !strings.Contains(err.Error(), gone) || !strings.Contains(err.Error(), ".S") {
		t.Errorf("a value of a type that is gone: %v", err)
	}
	if _, err := r.Decode("\x03\x05", &v); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("a value of a type that never was: %v", err)
	}
	without := codecOf[struct{ N int8 }](t)
	skip, err := without.StateReader([]byte(written))
	if err != nil {
		t.Fatal(err)
	}
	var n struct{ N int8 }
	if _, err := skip.Decode("\x02\x01\x02\x03\x04\x05\x06\x07\x08\x09", &n); err != nil || n.N != 9 {
		t.Errorf("a field that is gone with values that are: %v, %v", n, err)
	}
	if _, err := skip.Decode("\x03\x05", &n); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("skipped a value of a type that never was: %v", err)
	}
}

func TestShapeText(t *testing.T) {
	for _, c := range []struct {
		got  codec.Shape
		want string
	}{
		{codecOf[flightState](t).Shape(), "struct{Origin string; Delays []int64}"},
		{codecOf[map[[2]byte]*bool](t).Shape(), "map[[2]uint8]*bool"},
		{codecOf[node](t).Shape(), "T1=struct{Name string; Next *T1; Kids []T1; By map[string]*T1}"},
		{codecOf[struct{ P pointer }](t).Shape(), "struct{P T1=*T1}"},
		{codecOf[embedding](t).Shape(), "struct{base struct{ID string; Tags []string}; node *T1=struct{Name string; Next *T1; Kids []T1; By map[string]*T1}; Time time.Time; N int}"},
		{codecOf[even](t).Shape(), "T1=struct{Odd *struct{Evens [2]T1; S string}; N int32}"},
		{codecOf[struct{ A, B money }](t).Shape(), "struct{A struct{units int32; cents int32}; B struct{units int32; cents int32}}"},
		{codecOf[struct {
			At time.Time
			C  code
			D  *duration
			B  big.Int
			O  celsius
		}](t).Shape(), "struct{At time.Time; C github.com/weirstream/weir/internal/codec_test.code by its codec; D *google.protobuf.Duration; " +
			"B math/big.Int by GobDecode; O github.com/weirstream/weir/internal/codec_test.celsius by UnmarshalBinary}"},
		{codecOf[shape](t).Shape(), "T1=interface{*github.com/weirstream/weir/internal/codec_test.circle *struct{Radius int; Inner T1} | " +
			"github.com/weirstream/weir/internal/codec_test.square struct{Side string}}"},
		{codec.Shape("\x02\x01"), "(no shape: corrupt value: a shape of version 2: this program reads version 1; if it was written by a newer one, use that or a newer one)"},
	} {
		if c.got.String() != c.want {
			t.Errorf("got %v\nwant %s", c.got, c.want)
		}
	}
	text := codecOf[[]map[string]map[string]struct{ A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q []embedding }](t).Shape().String()
	if !strings.HasSuffix(text, "...") || len(text) > 2100 {
		t.Errorf("a long text has %d bytes: %s", len(text), text)
	}
}

type pointer *pointer

type flightState struct {
	Origin string
	Delays []int64
}
