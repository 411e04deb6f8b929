package codec_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/weirstream/weir/internal/codec"
)

func codecOf[T any](t testing.TB) *codec.Codec[T] {
	t.Helper()
	c, err := codec.For[T]()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// roundTrip returns v encoded and decoded.
func roundTrip[T any](t *testing.T, v T) T {
	t.Helper()
	c := codecOf[T](t)
	enc := c.Append(nil, &v)
	var got T
	n, err := c.Decode(string(enc), &got)
	if err != nil || n != len(enc) {
		t.Fatalf("%#v: decoded %d of %d bytes: %v", v, n, len(enc), err)
	}
	return got
}

// same checks that v comes back as it is.
func same[T any](t *testing.T, v T) {
	t.Helper()
	if got := roundTrip(t, v); !reflect.DeepEqual(got, v) {
		t.Errorf("came back as %#v, was %#v", got, v)
	}
}

type (
	carrier string
	stamp   time.Time
	node    struct {
		Name string
		Next *node
		Kids []node
		By   map[string]*node
	}
	// even and odd contain each other, one in an array.
	even struct {
		Odd *odd
		N   int32
	}
	odd struct {
		Evens [2]even
		S     string
	}
	base struct {
		ID   string
		Tags []carrier
	}
	embedding struct {
		base
		*node
		time.Time
		N int
	}
	money  struct{ units, cents int32 } // unexported, but free of pointers
	priced struct {
		Name  string
		Price money
		_     int64
	}
)

func TestKinds(t *testing.T) {
	same(t, carrier("AA"))
	same(t, "")
	same(t, int64(math.MinInt64))
	same(t, uint64(math.MaxUint64))
	same(t, math.Inf(-1))
	same(t, complex(1, -2))
	same(t, complex64(complex(-1, 2)))
	same(t, uintptr(7))
	same(t, []byte(nil))
	same(t, []byte{})
	same(t, []int8{-1, 0, 1})
	same(t, []bool{true, false})
	same(t, []carrier{"AA", "", "UA"})
	same(t, []string(nil))
	same(t, []string{})
	same(t, []int32{1, -1, 1 << 30})
	same(t, []struct{}{{}, {}, {}})
	same(t, []struct {
		A int8
		B int64
		C [3]uint16
	}{{-1, 2, [3]uint16{3, 4, 5}}, {}})
	same(t, [][]string{nil, {}, {"a"}})
	same(t, [0]string{})
	same(t, [3]*string{1: new(string)})
	same(t, map[string]string(nil))
	same(t, map[string]string{})
	same(t, map[string]string{"a": "b", "": ""})
	same(t, map[carrier][]int{"AA": {1}, "UA": nil})
	same(t, map[[2]int8]map[bool]float32{{1, 2}: {true: 1.5}, {}: nil})
	same(t, map[struct{}]struct{}{{}: {}})
	same(t, (*int)(nil))
	same(t, new(*int))
	same(t, struct{}{})
	same(t, time.Duration(5))
	if got := roundTrip(t, math.NaN()); !math.IsNaN(got) {
		t.Errorf("NaN came back as %v", got)
	}
	if got := roundTrip(t, map[float64]int{math.NaN(): 1, math.NaN(): 2}); len(got) != 2 {
		t.Errorf("two NaN keys came back as %v", got)
	}
}

func TestStructs(t *testing.T) {
	tree := node{Name: "a", Next: &node{Name: "b"}, Kids: []node{{Name: "c", Kids: []node{}}, {}}, By: map[string]*node{"x": nil, "y": {Name: "d"}}}
	same(t, tree)
	same(t, &tree)
	same(t, []node{tree, {}})
	same(t, even{N: 1, Odd: &odd{S: "x", Evens: [2]even{{N: 2}, {N: 3, Odd: &odd{}}}}})
	same(t, odd{Evens: [2]even{{N: 2}, {N: 3, Odd: &odd{S: "y"}}}})
	same(t, embedding{base{"id", []carrier{"AA"}}, &node{Name: "n"}, time.Unix(1, 2).UTC(), 3})
	same(t, priced{Name: "tea", Price: money{2, -50}})
	same(t, money{1, 2})
}

// TestOverwrites decodes into memory that was used, as batches are: nothing of
// the old value shows through, and nothing it referred to is changed.
func TestOverwrites(t *testing.T) {
	c := codecOf[node](t)
	old := node{Name: "old", Next: &node{Name: "next"}, Kids: []node{{Name: "kid"}}, By: map[string]*node{"k": nil}}
	v, before := old, roundTrip(t, old)
	if _, err := c.Decode(string(c.Append(nil, &node{Name: "new", Kids: []node{{}}})), &v); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, node{Name: "new", Kids: []node{{}}}) {
		t.Errorf("decoded %#v", v)
	}
	if !reflect.DeepEqual(old, before) {
		t.Errorf("the old value became %#v", old)
	}
	v.Kids = old.Kids[:0] // room that is not its own
	if _, err := c.Decode(string(c.Append(nil, &node{Kids: []node{{Name: "other"}}})), &v); err != nil || v.Kids[0].Name != "other" {
		t.Errorf("decoded %#v, %v", v, err)
	}
	if !reflect.DeepEqual(old, before) {
		t.Errorf("the elements of the old value became %#v", old.Kids)
	}
	p, was := codecOf[polar](t), polarOf(5)
	into := was
	if _, err := p.Decode("\x03abc", &into); err != nil || string(into.text) != "abc" || string(was.text) != "ppppp" {
		t.Errorf("decoded %q, %v; the old value became %q", into.text, err, was.text)
	}
}

// TestPlainSlices decodes many slices whose size is no multiple of a word: none
// reaches into its neighbour.
func TestPlainSlices(t *testing.T) {
	var want [][]int32
	for i := range int32(1000) {
		want = append(want, []int32{i, -i, i << 10})
	}
	same(t, want)
}

// TestStringsAreParts checks D3, and that bytes, which may be changed, are not.
func TestStringsAreParts(t *testing.T) {
	type both struct {
		S string
		B []byte
		L []string
	}
	c := codecOf[both](t)
	src := string(c.Append(nil, &both{strings.Repeat("s", 300), []byte("bytes"), []string{"first", "second"}}))
	var v both
	if _, err := c.Decode(src, &v); err != nil {
		t.Fatal(err)
	}
	within := func(p *byte) bool {
		from := uintptr(unsafe.Pointer(unsafe.StringData(src)))
		return uintptr(unsafe.Pointer(p)) >= from && uintptr(unsafe.Pointer(p)) < from+uintptr(len(src))
	}
	if !within(unsafe.StringData(v.S)) || !within(unsafe.StringData(v.L[1])) {
		t.Error("a decoded string is a copy")
	}
	if within(&v.B[0]) {
		t.Error("decoded bytes are part of the source")
	}
	at := time.Unix(1, 2).In(time.FixedZone("KEPT", 60))
	times := codecOf[time.Time](t)
	src = string(times.Append(nil, &at))
	if _, err := times.Decode(src, &at); err != nil {
		t.Fatal(err)
	}
	if name, _ := at.Zone(); name != "KEPT" || within(unsafe.StringData(name)) {
		t.Errorf("the zone %q, which is kept for all, is part of one source", name)
	}
}

func TestTimes(t *testing.T) {
	same(t, time.Time{})
	same(t, time.Unix(1_500_000_000, 123_456_789).UTC())
	same(t, time.Unix(-1, 999_999_999).Local())
	same(t, stamp(time.Unix(5, 6).UTC()))
	now := time.Now()
	if got := roundTrip(t, now); !got.Equal(now) || got.Location() != time.Local || strings.Contains(got.String(), "m=") {
		t.Errorf("%v came back as %v", now, got)
	}
	zone := time.Unix(0, 0).In(time.FixedZone("CEST", 7200))
	got := roundTrip(t, zone)
	name, offset := got.Zone()
	if !got.Equal(zone) || name != "CEST" || offset != 7200 || got.String() != zone.String() {
		t.Errorf("%v came back as %v", zone, got)
	}
	if again := roundTrip(t, zone); again.Location() != got.Location() {
		t.Error("a zone is allocated per value")
	}
}

// celsius writes itself by MarshalBinary, polar by AppendBinary.
type celsius struct{ degrees *float64 }

func (c celsius) MarshalBinary() ([]byte, error) {
	if *c.degrees < -273.15 {
		return nil, errors.New("colder than nothing")
	}
	return binary.BigEndian.AppendUint64(nil, math.Float64bits(*c.degrees)), nil
}

func (c *celsius) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return fmt.Errorf("%d bytes", len(b))
	}
	d := math.Float64frombits(binary.BigEndian.Uint64(b))
	clear(b) // which a value may do
	c.degrees = &d
	return nil
}

type polar struct{ text []byte }

func (p *polar) AppendBinary(b []byte) ([]byte, error) { return append(b, p.text...), nil }
func (p *polar) UnmarshalBinary(b []byte) error        { p.text = append(p.text[:0], b...); return nil }

func (p *polar) MarshalBinary() ([]byte, error) { return nil, errors.New("not to be called") }

func polarOf(n int) polar           { return polar{[]byte(strings.Repeat("p", n))} }
func temperature(d float64) celsius { return celsius{&d} }

// reading embeds a type with methods and is encoded by its fields; sealed embeds
// one and overrides them.
type reading struct {
	celsius
	Station string
}

type sealed struct {
	celsius //nolint:unused // It is there to be embedded.
	extra   string
}

func (s sealed) MarshalBinary() ([]byte, error) { return []byte(s.extra), nil }
func (s *sealed) UnmarshalBinary(b []byte) error {
	s.extra = string(b)
	return nil
}

// half declares one of the two methods, and is encoded by its fields.
type half struct {
	celsius
	Station string
}

func (h half) MarshalBinary() ([]byte, error) { return []byte(h.Station), nil }

func TestMarshalers(t *testing.T) {
	same(t, temperature(21.5))
	same(t, []celsius{temperature(1), temperature(2)})
	same(t, map[string]celsius{"x": temperature(3)})
	same(t, reading{temperature(4), "JFK"})
	same(t, sealed{extra: "kept"})
	same(t, half{temperature(5), "LAX"})
	for _, n := range []int{1, 127, 128, 20_000} {
		same(t, struct {
			A polar
			B string
		}{polarOf(n), "after"})
	}
	same(t, netip.MustParseAddr("fe80::1%eth0"))
	same(t, map[netip.Addr]int{netip.MustParseAddr("10.0.0.1"): 1})
	u, err := url.Parse("https://weir.example/path?q=1")
	if err != nil {
		t.Fatal(err)
	}
	same(t, *u)
	c := codecOf[celsius](t)
	warm := temperature(30)
	src := string(c.Append(nil, &warm))
	for range 2 { // the value clears the bytes it was given, which are not src's
		var v celsius
		if _, err := c.Decode(src, &v); err != nil || *v.degrees != 30 {
			t.Fatalf("decoded %v, %v", v, err)
		}
	}
	defer func() {
		err, _ := recover().(error)
		if !errors.Is(err, codec.ErrEncode) || !strings.Contains(err.Error(), "colder than nothing") {
			t.Errorf("a failing MarshalBinary panics with %v", err)
		}
	}()
	v := temperature(-300)
	c.Append(nil, &v)
}

func TestCycle(t *testing.T) {
	c := codecOf[node](t)
	v := &node{}
	for range codec.MaxDepth - 1 {
		v = &node{Next: v}
	}
	var got node
	if _, err := c.Decode(string(c.Append(nil, v)), &got); err != nil {
		t.Errorf("a long list: %v", err)
	}
	deep := strings.Repeat("\x00\x00\x00\x00\x01", codec.MaxDepth+10)
	if _, err := c.Decode(deep, &got); !errors.Is(err, codec.ErrCorrupt) || !strings.Contains(err.Error(), "nested") {
		t.Errorf("a list without end: %v", err)
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, codec.ErrEncode) {
			t.Errorf("a cycle panics with %v", err)
		}
	}()
	v.Next = v
	c.Append(nil, v)
}

func TestRaw(t *testing.T) {
	if !codecOf[struct {
		A int
		B [4]struct{ C float32 }
	}](t).Raw() || !codecOf[money](t).Raw() || !codecOf[[0]string](t).Raw() {
		t.Error("a type without pointers is not raw")
	}
	if codecOf[string](t).Raw() || codecOf[time.Time](t).Raw() || codecOf[[1][]int](t).Raw() || codecOf[*int](t).Raw() || codecOf[map[int]int](t).Raw() {
		t.Error("a type with pointers is raw")
	}
}

func TestRefused(t *testing.T) {
	type inner struct {
		Ch   chan int
		Lock sync.Mutex
	}
	type bad struct {
		Name   string
		F      func()
		I      interface{ none() }
		E      error
		Inner  []inner
		P      *unsafe.Pointer
		hidden int
		ByPtr  map[*int]int
		ByAny  map[struct{ K any }]int
		Proto  duration
		ByTime map[time.Time]int
	}
	_, err := codec.For[bad]()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"codec_test.bad.F (func())", "bad.I (interface { codec_test.none() })", "bad.E (error)", "bad.Inner[].Ch (chan int)",
		"bad.Inner[].Lock (sync.Mutex): a lock", "bad.P (unsafe.Pointer)", "bad.hidden (int): it is not exported",
		"bad.ByPtr[key] (*int)", "bad.ByAny[key] (struct { K interface {} })",
		"bad.Proto (durationpb.Duration): a protobuf message must not be copied; use a pointer to it",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for _, not := range []string{"Name", "ByTime"} {
		if strings.Contains(err.Error(), not) {
			t.Errorf("the error has %s: %v", not, err)
		}
	}
	if _, err := codec.For[[][]struct{ _ int }](); err == nil || !strings.Contains(err.Error(), "[][]struct { _ int }[][] (struct { _ int }): it has nothing but blank fields") {
		t.Errorf("a slice of nothing: %v", err)
	}
	if _, err := codec.For[error](); err == nil {
		t.Error("an interface was accepted")
	}
	_ = bad{hidden: 1}
}

// TestBounded has encodings whose lengths promise what is not there (D2).
func TestBounded(t *testing.T) {
	huge := string(binary.AppendUvarint(nil, 1<<62))
	bounded[[]int64](t, huge)
	bounded[[][1000]string](t, huge)
	bounded[[]string](t, huge+"abc")
	bounded[[]byte](t, huge)
	bounded[string](t, huge)
	bounded[map[int]int](t, huge)
	bounded[map[struct{}]struct{}](t, huge)
	bounded[map[string]string](t, huge+"\x00\x00")
	bounded[map[int8]bool](t, "\x03\x01\x00\x01\x00") // a key twice
	bounded[map[string]string](t, "\x03\x01a\x01b\x01a\x01b")
	bounded[[]node](t, "\x7f"+strings.Repeat("\x00", 10))
	bounded[celsius](t, "\x071234567")
	bounded[celsius](t, huge)
	bounded[bool](t, "\x02")
	bounded[*int](t, "\x02")
	bounded[int16](t, "\x01")
	bounded[[2]bool](t, "\x00\x02")
	bounded[[]byte](t, strings.Repeat("\xff", 10))
	bounded[[]byte](t, strings.Repeat("\xff", 9)+"\x02")
	bounded[string](t, "\x03\x00\x00\x00ab")
	bounded[string](t, "\xff\xff\xff\xffab")
	second := strings.Repeat("\x00", 8)
	bounded[time.Time](t, second+"\x00\xca\x9a\x3b\x00\x00\x00\x00") // a second of nanoseconds
	bounded[time.Time](t, second+"\x00\x00\x00\x00\x03\x00\x00\x00abc")
	bounded[time.Time](t, second+"\x00\x00\x00\x00\x05\x00\x00\x00abcd")
	if got := roundTrip(t, make([]struct{}, 1<<40)); len(got) != 1<<40 {
		t.Errorf("many empty structs came back as %d", len(got))
	}
}

func bounded[T any](t *testing.T, src string) {
	t.Helper()
	c := codecOf[T](t)
	var v T
	n, err := c.Decode(src, &v)
	if !errors.Is(err, codec.ErrCorrupt) || n != 0 {
		t.Errorf("%T of %x: %d bytes and error %v", v, src, n, err)
	}
	if used := allocated(func() { _, _ = c.Decode(src, &v) }); used > 64<<10 {
		t.Errorf("%T of %d bytes: %d bytes allocated", v, len(src), used)
	}
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestNoAllocation(t *testing.T) {
	type record struct {
		Origin, Dest carrier
		At           time.Time
		Delay        float64
		Legs         [2]int32
		Via          *string
		Tags         map[carrier]int
	}
	c := codecOf[record](t)
	v := record{Origin: "JFK", Dest: "LAX", At: time.Now(), Tags: map[carrier]int{"AA": 1}}
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(200, func() { dst = c.Append(dst[:0], &v) }); n != 0 {
		t.Errorf("Append: %v allocations", n)
	}
	v.Tags = nil
	src := string(c.Append(nil, &v))
	if n := testing.AllocsPerRun(200, func() {
		if _, err := c.Decode(src, &v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Decode: %v allocations", n)
	}
}
