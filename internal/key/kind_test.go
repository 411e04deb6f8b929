package key_test

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/key"
)

func kindOf[K comparable](t testing.TB) *key.Kind[K] {
	t.Helper()
	k, err := key.For[K]()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

type (
	userID  string
	airport [3]byte
	padded  struct {
		A int8
		_ int32
		B int64
		c bool
	}
	pair   struct{ A, B int64 }
	route  struct{ From, To airport }
	nested struct {
		Carrier string
		Route   route
		Legs    [2]struct{ Number int16 }
		tail    userID
	}
	wide    struct{ W [9]uint64 }
	wrapped struct {
		_  int64
		ID string
	}
	gap struct {
		A int64
		_ [8]byte
		B uint64
	}
	mixed struct {
		ID    [16]byte
		Day   int64
		Extra [8]byte
	}
)

// check compares hash, encoding, decoding and clone of random keys, hashed in
// batches of every small length, with the reference.
func check[K comparable](t *testing.T, draw *rapid.Generator[K]) {
	t.Helper()
	kind := kindOf[K](t)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(draw, 0, 5).Draw(t, "keys")
		hashes := make([]uint64, len(keys)+1)
		hashes[len(keys)] = 42
		kind.Hash(keys, hashes)
		if hashes[len(keys)] != 42 {
			t.Fatal("Hash wrote past the batch")
		}
		for i, k := range keys {
			want := referenceOf(k)
			if hashes[i] != want.hash() || kind.HashOne(k) != want.hash() {
				t.Fatalf("hash of %#v: %#x in a batch, %#x alone, want %#x", k, hashes[i], kind.HashOne(k), want.hash())
			}
			enc := kind.Append([]byte("before"), &k)
			if !bytes.Equal(enc, append([]byte("before"), want.encoded...)) {
				t.Fatalf("encoding of %#v: %x, want %x", k, enc, want.encoded)
			}
			checkDecode(t, kind, k, want.encoded)
			var arena key.Arena
			if c := kind.Clone(k, &arena); c != k {
				t.Fatalf("clone of %#v is %#v", k, c)
			}
		}
	})
}

func checkDecode[K comparable](t *rapid.T, kind *key.Kind[K], k K, enc []byte) {
	var got K
	n, err := kind.Decode(append(enc[:len(enc):len(enc)], 0xff), &got)
	if err != nil || n != len(enc) || got != k {
		t.Fatalf("decoded %#v, %d bytes, %v; want %#v and %d bytes", got, n, err, k, len(enc))
	}
	for cut := range enc {
		if _, err := kind.Decode(enc[:cut], &got); err == nil {
			t.Fatalf("%#v: the first %d of %d bytes decoded", k, cut, len(enc))
		}
	}
}

// integer draws small, large and extreme values.
func integer[T int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64]() *rapid.Generator[T] {
	return rapid.Map(rapid.OneOf(
		rapid.Int64(), rapid.Int64Range(-3, 300), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, math.MinInt32, math.MaxUint32}),
	), func(v int64) T { return T(v) })
}

func text() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.IntRange(0, 2000), func(n int) string { return strings.Repeat("x", n) }))
}

func TestKindsAgainstReference(t *testing.T) {
	t.Run("bool", func(t *testing.T) { check(t, rapid.Bool()) })
	t.Run("int", func(t *testing.T) { check(t, integer[int]()) })
	t.Run("int8", func(t *testing.T) { check(t, integer[int8]()) })
	t.Run("int16", func(t *testing.T) { check(t, integer[int16]()) })
	t.Run("int32", func(t *testing.T) { check(t, integer[int32]()) })
	t.Run("int64", func(t *testing.T) { check(t, integer[int64]()) })
	t.Run("uint", func(t *testing.T) { check(t, integer[uint]()) })
	t.Run("uint8", func(t *testing.T) { check(t, integer[uint8]()) })
	t.Run("uint16", func(t *testing.T) { check(t, integer[uint16]()) })
	t.Run("uint32", func(t *testing.T) { check(t, integer[uint32]()) })
	t.Run("uint64", func(t *testing.T) { check(t, integer[uint64]()) })
	t.Run("string", func(t *testing.T) { check(t, text()) })
	t.Run("userID", func(t *testing.T) { check(t, rapid.Map(text(), func(s string) userID { return userID(s) })) })
	t.Run("empty", func(t *testing.T) { check(t, rapid.Just(struct{}{})) })
	t.Run("wrapped", func(t *testing.T) { check(t, rapid.Map(text(), func(s string) wrapped { return wrapped{ID: s} })) })
	t.Run("bytes", func(t *testing.T) {
		check(t, rapid.Map(integer[uint64](), func(v uint64) (b [16]byte) { return *(*[16]byte)(unsafe.Pointer(&[2]uint64{v, ^v})) }))
	})
}

func TestComposedKindsAgainstReference(t *testing.T) {
	t.Run("airport", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) airport {
			return airport{rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b"), rapid.Byte().Draw(t, "c")}
		}))
	})
	t.Run("pair", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) pair {
			return pair{integer[int64]().Draw(t, "a"), integer[int64]().Draw(t, "b")}
		}))
	})
	t.Run("gap", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) gap {
			return gap{A: integer[int64]().Draw(t, "a"), B: integer[uint64]().Draw(t, "b")}
		}))
	})
	t.Run("padded", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) padded {
			return padded{A: integer[int8]().Draw(t, "a"), B: integer[int64]().Draw(t, "b"), c: rapid.Bool().Draw(t, "c")}
		}))
	})
	t.Run("wide", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) (w wide) {
			for i := range w.W {
				w.W[i] = integer[uint64]().Draw(t, "w")
			}
			return w
		}))
	})
	t.Run("mixed", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) (m mixed) {
			m.Day = integer[int64]().Draw(t, "day")
			copy(m.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
			copy(m.Extra[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "extra"))
			return m
		}))
	})
	t.Run("nested", func(t *testing.T) {
		check(t, rapid.Custom(func(t *rapid.T) (n nested) {
			n.Carrier = text().Draw(t, "carrier")
			n.Route.To[1] = rapid.Byte().Draw(t, "to")
			n.Legs[1].Number = integer[int16]().Draw(t, "leg")
			n.tail = userID(text().Draw(t, "tail"))
			return n
		}))
	})
}

// TestPadding fills the bytes that no field owns (K1).
func TestPadding(t *testing.T) {
	kind := kindOf[padded](t)
	clean, dirty := padded{A: -1, B: 7, c: true}, padded{}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&dirty)), unsafe.Sizeof(dirty))
	for i := range raw {
		raw[i] = 0xa5
	}
	dirty.A, dirty.B, dirty.c = -1, 7, true
	keys, hashes := []padded{clean, dirty}, make([]uint64, 2)
	kind.Hash(keys, hashes)
	if hashes[0] != hashes[1] {
		t.Errorf("padding is hashed: %#x and %#x", hashes[0], hashes[1])
	}
	if a, b := kind.Append(nil, &keys[0]), kind.Append(nil, &keys[1]); !bytes.Equal(a, b) {
		t.Errorf("padding is encoded: %x and %x", a, b)
	}
}

// TestCorrupt has bytes that are no key, or not the only encoding of one (K2).
func TestCorrupt(t *testing.T) {
	corrupt(t, kindOf[bool](t), "\x02")
	corrupt(t, kindOf[int8](t), "\x00\x00\x00\x00\x00\x00\x00\x80")
	corrupt(t, kindOf[uint32](t), "\x00\x00\x00\x01\x00\x00\x00\x00")
	corrupt(t, kindOf[int64](t), "1234567")
	corrupt(t, kindOf[string](t), "")
	corrupt(t, kindOf[string](t), "\x83\x00JFK")
	corrupt(t, kindOf[string](t), "\x04JFK")
	corrupt(t, kindOf[string](t), "\xff\xff\xff\xff\xff\xff\xff\xff\x7fJFK")
	corrupt(t, kindOf[airport](t), "JF")
}

func corrupt[K comparable](t *testing.T, kind *key.Kind[K], src string) {
	t.Helper()
	var k K
	if n, err := kind.Decode([]byte(src), &k); !errors.Is(err, key.ErrCorrupt) || n != 0 {
		t.Errorf("%T of %x: decoded %#v, %d bytes, %v", k, src, k, n, err)
	}
}

// TestWidened has keys whose type was renamed, wrapped or widened.
func TestWidened(t *testing.T) {
	want := kindOf[int64](t).HashOne(-5)
	if got := kindOf[int8](t).HashOne(-5); got != want {
		t.Errorf("int8 hashes to %#x, int64 to %#x", got, want)
	}
	if got := kindOf[struct{ _, X int32 }](t).HashOne(struct{ _, X int32 }{X: -5}); got != want {
		t.Errorf("a wrapped int32 hashes to %#x, int64 to %#x", got, want)
	}
	if a, b := kindOf[wrapped](t).HashOne(wrapped{ID: "JFK"}), kindOf[userID](t).HashOne("JFK"); a != b {
		t.Errorf("a wrapped string hashes to %#x, a string to %#x", a, b)
	}
}

func TestRefused(t *testing.T) {
	refused := func(err error, parts ...string) {
		t.Helper()
		if err == nil {
			t.Errorf("accepted, want an error with %q", parts)
			return
		}
		for _, p := range parts {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("error %q does not say %q", err, p)
			}
		}
	}
	type flight struct {
		Carrier string
		At      struct{ Scheduled, Actual time.Time }
		Delay   float64
	}
	type clock time.Time
	_, err := key.For[flight]()
	refused(err, "key_test.flight", "At.Scheduled (time.Time)", "At.Actual", "UnixNano()", "Delay (float64)")
	_, err = key.For[time.Time]()
	refused(err, "time.Time", "UnixNano()")
	_, err = key.For[clock]()
	refused(err, "key_test.clock", "UnixNano()")
	_, err = key.For[float32]()
	refused(err, "float32", "integer")
	_, err = key.For[complex128]()
	refused(err, "complex128")
	_, err = key.For[any]()
	refused(err, "interface {}", "concrete type")
	_, err = key.For[*pair]()
	refused(err, "*key_test.pair", "use the value, key_test.pair")
	_, err = key.For[[2]chan int]()
	refused(err, "[0] (chan int)", "identifier")
	_, err = key.For[netip.Addr]()
	refused(err, "netip.Addr", "As16()")
	_, err = key.For[struct{ P uintptr }]()
	refused(err, "field P (uintptr)")
	_, err = key.For[[5000]int32]()
	refused(err, "4096")
}

func TestPointersAndClone(t *testing.T) {
	if kindOf[mixed](t).Pointers() || !kindOf[nested](t).Pointers() || !kindOf[userID](t).Pointers() {
		t.Error("Pointers does not tell which keys hold strings")
	}
	kind := kindOf[nested](t)
	buffer := []byte("AAN12345")
	k := nested{Carrier: unsafe.String(&buffer[0], 2), tail: userID(unsafe.String(&buffer[2], 6))}
	if n := kind.StringBytes(&k); n != 8 {
		t.Errorf("StringBytes is %d, want 8", n)
	}
	var arena key.Arena
	c := kind.Clone(k, &arena)
	copy(buffer, "????????")
	if c.Carrier != "AA" || c.tail != "N12345" {
		t.Errorf("the clone changed with the buffer: %#v", c)
	}
	if arena.Used() != 8 {
		t.Errorf("arena holds %d bytes, want 8", arena.Used())
	}
}

// TestArena clones strings of all sizes and checks them after the arena was
// reset and used again.
func TestArena(t *testing.T) {
	var arena key.Arena
	var got []string
	want := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), i*i%20000) }
	for round := range 2 {
		for i := range 500 {
			got = append(got, arena.Clone(want(i+round)))
		}
		arena.Reset()
		if arena.Used() != 0 {
			t.Errorf("after Reset %d bytes are used", arena.Used())
		}
	}
	for i, s := range got {
		if w := want(i%500 + i/500); s != w {
			t.Fatalf("string %d of %d bytes changed", i, len(w))
		}
	}
}
