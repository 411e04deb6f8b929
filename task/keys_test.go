package task

import (
	"strings"
	"testing"
)

type inner struct {
	A uint8
	B uint32
}

type outer struct {
	First int64
	inner
	Name    string
	Array   [4]uint16
	Pointer *inner
	Last    int32
}

var elsewhere uint32

func TestKeyField(t *testing.T) {
	v := outer{First: 7, inner: inner{A: 3, B: 9}, Name: "n", Array: [4]uint16{1, 2, 3, 4}, Last: -5}
	if got := fieldKey(t, func(o *outer) *int64 { return &o.First }, v); got != 7 {
		t.Errorf("First is %d", got)
	}
	if got := fieldKey(t, func(o *outer) *uint32 { return &o.B }, v); got != 9 {
		t.Errorf("B is %d", got)
	}
	if got := fieldKey(t, func(o *outer) *inner { return &o.inner }, v); got != v.inner {
		t.Errorf("inner is %v", got)
	}
	if got := fieldKey(t, func(o *outer) *string { return &o.Name }, v); got != "n" {
		t.Errorf("Name is %q", got)
	}
	if got := fieldKey(t, func(o *outer) *uint16 { return &o.Array[2] }, v); got != 3 {
		t.Errorf("Array[2] is %d", got)
	}
	if got := fieldKey(t, func(o *outer) *int32 { return &o.Last }, v); got != -5 {
		t.Errorf("Last is %d", got)
	}
	if got := fieldKey(t, func(k *uint64) *uint64 { return k }, 11); got != 11 {
		t.Errorf("the record itself is %d", got)
	}
}

// fieldKey returns the key that NewKeyField's selector finds in v, in the middle
// of a batch.
func fieldKey[K comparable, T any](t *testing.T, f func(*T) *K, v T) K {
	t.Helper()
	s := must[KeySelector[K, T]](t)(NewKeyField(f))
	k := newKeyed(s)
	var other T
	keys, hashes := k.of([]T{other, v, other})
	if len(keys) != 3 || len(hashes) != 3 {
		t.Fatalf("%d keys and %d hashes of 3 records", len(keys), len(hashes))
	}
	want := make([]uint64, 1)
	s.kind.Hash(keys[1:2], want)
	if hashes[1] != want[0] {
		t.Errorf("the hash of %v is %x, want %x", keys[1], hashes[1], want[0])
	}
	return keys[1]
}

func TestKeyFieldMistakes(t *testing.T) {
	var calls int
	for _, c := range []struct {
		name string
		f    func(*outer) *uint32
		want string
	}{
		{"no function", nil, "there is no function"},
		{"nil", func(*outer) *uint32 { return nil }, "of type uint32 and inside the task.outer itself"},
		{"a variable", func(*outer) *uint32 { return &elsewhere }, "inside the task.outer itself"},
		{"behind a pointer", func(o *outer) *uint32 { return &o.Pointer.B }, "given an empty task.outer it panicked: runtime error: invalid memory address"},
		{"behind a pointer that it sets", func(o *outer) *uint32 { o.Pointer = &inner{}; return &o.Pointer.B }, "inside the task.outer itself"},
		{"a copy's", func(o *outer) *uint32 { c := *o; return &c.B }, "inside the task.outer itself"},
		{"now this, now that", func(o *outer) *uint32 {
			if calls++; calls%2 == 0 {
				return &o.B
			}
			return &o.moved().B
		}, "inside the task.outer itself"},
	} {
		_, err := NewKeyField(c.f)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want … %s …", c.name, err, c.want)
		}
	}
	calls = 0
	_, err := NewKeyField(func(a *[8]int64) *int64 { calls++; return &a[calls] })
	if err == nil || !strings.Contains(err.Error(), "it returned offsets 8 and 16") {
		t.Errorf("a field that changes: %v", err)
	}
	if _, err := NewKeyField(func(f *float64) *float64 { return f }); err == nil || !strings.Contains(err.Error(), "float64") {
		t.Errorf("a key without an encoding: %v", err)
	}
}

func (o *outer) moved() *inner { return new(inner) }

func TestTimeField(t *testing.T) {
	type timed struct {
		Key  string
		Time int64
	}
	f := must[func([]timed, []int64)](t)(NewTimeField(func(r *timed) *int64 { return &r.Time }))
	times := []int64{0, 0, 99}
	f([]timed{{"a", 5}, {"b", -7}}, times)
	if times[0] != 5 || times[1] != -7 || times[2] != 99 {
		t.Errorf("times %v", times)
	}
	if _, err := NewTimeField[timed](nil); err == nil {
		t.Error("no function is no mistake")
	}
}

func TestKeySelectorCallsOncePerRecord(t *testing.T) {
	calls := 0
	s := must[KeySelector[int, string]](t)(NewKeySelector(func(s string) int { calls++; return len(s) }))
	k := newKeyed(s)
	keys, _ := k.of([]string{"", "a", "bcd"})
	if calls != 3 || keys[0] != 0 || keys[1] != 1 || keys[2] != 3 {
		t.Errorf("%d calls, keys %v", calls, keys)
	}
}
