package key

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

// Kind is how keys of type K are hashed and encoded. It is compiled once per
// type, by [For], and may be used concurrently.
type Kind[K comparable] struct {
	shape
}

// shape is what a Kind knows about its type; none of it depends on K, so the
// code below is compiled once and not per key type.
type shape struct {
	class   class
	leaves  []leaf
	strings []uintptr // offsets of the strings
	fixed   int       // length of the encoding without its strings

	described Shape
}

// class chooses the loop that hashes a batch.
type class uint8

const (
	classEncoded class = iota // xxh3 of the canonical encoding
	classWords                // leaf by leaf, mixed
	classString               // xxh3 of the string's bytes
	classDense                // nothing but 64-bit words in memory order
	classInt8
	classInt16
	classInt32
	classInt64 // and uint64: the same word
	classUint8 // and bool: the same word
	classUint16
	classUint32
)

// leafOp says how a leaf lies in memory.
type leafOp uint8

const (
	opBool leafOp = iota
	opInt8
	opInt16
	opInt32
	opInt64
	opUint8
	opUint16
	opUint32
	opUint64
	opBytes
	opString
)

// leaf is one basic value within a key.
type leaf struct {
	op   leafOp
	off  uintptr
	size uintptr // bytes it takes in memory
}

const (
	maxWords  = 8    // a longer key is hashed by xxh3; frozen
	maxLeaves = 4096 // a key with more is a mistake
)

// For compiles the kind of the key type K. The error names K and every field in
// it that has no deterministic encoding, with what to use instead.
func For[K comparable]() (*Kind[K], error) {
	s, err := compile(reflect.TypeFor[K]())
	if err != nil {
		return nil, err
	}
	return &Kind[K]{*s}, nil
}

func compile(t reflect.Type) (*shape, error) {
	c := compiler{}
	c.add(t, "", 0)
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("key type %v: %s", t, strings.Join(c.errs, "; "))
	}
	s := &shape{leaves: c.leaves, described: appendNode(Shape{shapeVersion}, shapeOf(t))}
	if _, err := parseShape(s.described); err != nil {
		return nil, fmt.Errorf("key type %v: it cannot be described: %w; use a simpler type", t, err)
	}
	words := 0
	for _, l := range s.leaves {
		switch l.op {
		case opString:
			s.strings = append(s.strings, l.off)
		case opBytes:
			s.fixed += int(l.size)
			words += int(l.size+7) / 8
		case opBool:
			s.fixed++
			words++
		default:
			s.fixed += 8
			words++
		}
	}
	s.class = classify(s.leaves, words, len(s.strings), t.Size())
	return s, nil
}

// classify chooses the loop for a key type of the given leaves. The faster
// loops give the hash that classWords would.
func classify(leaves []leaf, words, strings int, size uintptr) class {
	whole := len(leaves) == 1 && leaves[0].size == size
	switch {
	case strings == 1 && whole:
		return classString
	case strings > 0 || words > maxWords:
		return classEncoded
	case whole:
		switch leaves[0].op {
		case opBool, opUint8:
			return classUint8
		case opInt8:
			return classInt8
		case opInt16:
			return classInt16
		case opInt32:
			return classInt32
		case opInt64, opUint64:
			return classInt64
		case opUint16:
			return classUint16
		case opUint32:
			return classUint32
		default: // strings were before, arrays are words
		}
	}
	if dense(leaves, size) {
		return classDense
	}
	return classWords
}

// bytesAreWords tells whether an array of bytes can be read as the little-endian
// words that are hashed, wherever it lies.
const bytesAreWords = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// dense reports whether a key's memory is its words: in order they are, and
// without gaps when they fill it.
func dense(leaves []leaf, size uintptr) bool {
	filled := uintptr(0)
	for _, l := range leaves {
		switch {
		case l.op == opInt64 || l.op == opUint64:
		case l.op == opBytes && l.size%8 == 0 && bytesAreWords:
		default:
			return false
		}
		filled += l.size
	}
	return filled == size && size > 0
}

// Pointers reports whether K contains strings: such a key refers to memory of
// others and is kept only after [Kind.Clone].
func (k *Kind[K]) Pointers() bool { return len(k.strings) > 0 }

// Clone returns the key with its strings copied into the arena.
func (k *Kind[K]) Clone(key K, arena *Arena) K {
	p := unsafe.Pointer(&key)
	for _, off := range k.strings {
		s := (*string)(unsafe.Add(p, off))
		*s = arena.Clone(*s)
	}
	return key
}

// StringBytes returns the bytes that the strings of a key hold together: what
// Clone takes from an arena.
func (k *Kind[K]) StringBytes(key *K) int {
	n := 0
	for _, off := range k.strings {
		n += len(*(*string)(unsafe.Add(unsafe.Pointer(key), off)))
	}
	return n
}

// compiler flattens a type into leaves.
type compiler struct {
	leaves []leaf
	errs   []string
}

// add appends the leaves of a value of type t at the offset; path is the field
// it is in, empty for the key itself.
func (c *compiler) add(t reflect.Type, path string, off uintptr) {
	if len(c.errs) > 0 && len(c.leaves) >= maxLeaves {
		return
	}
	if hint := refusal(t); hint != "" {
		c.refuse(t, path, hint)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.Name != "_" {
				c.add(f.Type, join(path, f.Name), off+f.Offset)
			}
		}
	case reflect.Array:
		c.addArray(t, path, off)
	default:
		c.leaf(t, path, leaf{leafOps[t.Kind()], off, t.Size()})
	}
}

func (c *compiler) addArray(t reflect.Type, path string, off uintptr) {
	elem := t.Elem()
	if elem.Kind() == reflect.Uint8 {
		if t.Len() > 0 {
			c.leaf(t, path, leaf{opBytes, off, t.Size()})
		}
		return
	}
	for i := range t.Len() {
		before := len(c.errs)
		c.add(elem, fmt.Sprintf("%s[%d]", path, i), off+uintptr(i)*elem.Size())
		if len(c.errs) > before || elem.Size() == 0 {
			return // every element says the same
		}
	}
}

func (c *compiler) leaf(t reflect.Type, path string, l leaf) {
	if len(c.leaves) == maxLeaves {
		c.refuse(t, path, fmt.Sprintf("a key has at most %d basic values; use a shorter key, such as a digest", maxLeaves))
	}
	c.leaves = append(c.leaves, l)
}

func (c *compiler) refuse(t reflect.Type, path, hint string) {
	if path == "" {
		c.errs = append(c.errs, fmt.Sprintf("it has no deterministic encoding: %s", hint))
		return
	}
	c.errs = append(c.errs, fmt.Sprintf("field %s (%v) has no deterministic encoding: %s", path, t, hint))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var leafOps = map[reflect.Kind]leafOp{
	reflect.Bool:   opBool,
	reflect.Int8:   opInt8,
	reflect.Int16:  opInt16,
	reflect.Int32:  opInt32,
	reflect.Int64:  opInt64,
	reflect.Uint8:  opUint8,
	reflect.Uint16: opUint16,
	reflect.Uint32: opUint32,
	reflect.Uint64: opUint64,
	reflect.Int:    intOp,
	reflect.Uint:   uintOp,
	reflect.String: opString,
}

// intOp and uintOp are how int and uint lie in memory on this platform.
var (
	intOp  = map[uintptr]leafOp{4: opInt32, 8: opInt64}[unsafe.Sizeof(int(0))]
	uintOp = map[uintptr]leafOp{4: opUint32, 8: opUint64}[unsafe.Sizeof(uint(0))]
)

// refusal says why values of type t are no keys and what to use instead, or
// nothing when they are, or when it depends on their parts.
func refusal(t reflect.Type) string {
	if t.Kind() == reflect.Struct && t.ConvertibleTo(reflect.TypeFor[time.Time]()) {
		return "equal instants may differ in location and monotonic reading; use UnixNano() or UnixMilli(), an int64"
	}
	switch t.PkgPath() + "." + t.Name() {
	case "net/netip.Addr":
		return "it holds a pointer; use As16(), a [16]byte, or String()"
	case "net/netip.AddrPort", "net/netip.Prefix":
		return "it holds a pointer; use String()"
	case "reflect.Value":
		return "it holds a pointer; use the value itself"
	}
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return "NaN differs from itself, and 0 equals -0; use an integer (a scaled value, or math.Float64bits) or a string"
	case reflect.Interface:
		return "its dynamic type is open; use the concrete type"
	case reflect.Pointer:
		return fmt.Sprintf("an address means nothing in another process; use the value, %v", t.Elem())
	case reflect.Chan:
		return "a channel means nothing in another process; use an identifier"
	case reflect.UnsafePointer, reflect.Uintptr:
		return "an address means nothing in another process; use a uint64 or an identifier"
	}
	return ""
}
