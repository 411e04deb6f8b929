package codec

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// mapType encodes one type of map. Package reflect is the only door to maps of a
// type that is not known when this package is compiled, but for map[string]string.
type mapType struct {
	typ       reflect.Type
	text      bool // map[string]string
	key, elem *program
	scratch   sync.Pool // of *mapScratch
}

// mapScratch is room for an iterator, and for the key and element it is at.
type mapScratch struct {
	iter      reflect.MapIter
	key, elem reflect.Value
}

func newMapScratch(t reflect.Type) *mapScratch {
	return &mapScratch{key: reflect.New(t.Key()).Elem(), elem: reflect.New(t.Elem()).Elem()}
}

// release gives the room back, and lets go of what is in it.
func (m *mapType) release(s *mapScratch) {
	s.iter.Reset(reflect.Value{})
	s.key.SetZero()
	s.elem.SetZero()
	m.scratch.Put(s)
}

func (m *mapType) append(dst []byte, at unsafe.Pointer, depth int) []byte {
	if m.text {
		v := *(*map[string]string)(at)
		dst = appendLen(dst, len(v), v == nil)
		for k, e := range v {
			dst = appendString(appendString(dst, k), e)
		}
		return dst
	}
	v := reflect.NewAt(m.typ, at).Elem()
	dst = appendLen(dst, v.Len(), v.IsNil())
	if v.Len() == 0 {
		return dst
	}
	s := m.scratch.Get().(*mapScratch)
	defer m.release(s)
	s.iter.Reset(v)
	for s.iter.Next() {
		s.key.SetIterKey(&s.iter)
		s.elem.SetIterValue(&s.iter)
		dst = m.key.append(dst, s.key.Addr().UnsafePointer(), depth)
		dst = m.elem.append(dst, s.elem.Addr().UnsafePointer(), depth)
	}
	return dst
}

// presize is how many elements room is made for before any was decoded: an
// element of a map is larger than its encoding.
const presize = 256

func (m *mapType) decode(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	least := m.key.min + m.elem.min
	if m.text {
		least = 2 // a length each
	}
	n, pos, err := decodeLen(src, pos, least)
	if err != nil {
		return 0, err
	}
	v := reflect.NewAt(m.typ, at).Elem()
	if n < 0 {
		v.SetZero()
		return pos, nil
	}
	start := pos
	got := 0
	if m.text {
		pos, got, err = decodeTextMap(src, pos, n, (*map[string]string)(at))
	} else {
		pos, got, err = m.decodeAny(src, pos, n, v, depth)
	}
	if err != nil {
		return 0, err
	}
	if got != n {
		return 0, fmt.Errorf("%w: at byte %d: a map of %d elements with %d different keys", ErrCorrupt, start, n, got)
	}
	return pos, nil
}

func decodeTextMap(src string, pos, n int, at *map[string]string) (next, got int, err error) {
	v := make(map[string]string, min(n, presize))
	*at = v
	for range n {
		var k, e string
		if pos, err = decodeString(src, pos, &k); err != nil {
			return 0, 0, err
		}
		if pos, err = decodeString(src, pos, &e); err != nil {
			return 0, 0, err
		}
		v[k] = e
	}
	return pos, len(v), nil
}

func (m *mapType) decodeAny(src string, pos, n int, at reflect.Value, depth int) (next, got int, err error) {
	v := reflect.MakeMapWithSize(m.typ, min(n, presize))
	at.Set(v)
	s := m.scratch.Get().(*mapScratch)
	defer m.release(s)
	for i := range n {
		if pos, err = m.key.decode(src, pos, s.key.Addr().UnsafePointer(), depth); err != nil {
			return 0, 0, err
		}
		if pos, err = m.elem.decode(src, pos, s.elem.Addr().UnsafePointer(), depth); err != nil {
			return 0, 0, err
		}
		v.SetMapIndex(s.key, s.elem)
		if v.Len() <= i {
			break // a key twice; keys without content would have n run away
		}
	}
	return pos, v.Len(), nil
}
