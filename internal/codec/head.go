package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// room returns how many bytes head and texts of the value at base take.
func (p *program) room(base unsafe.Pointer) int {
	n := p.head + p.zones(base)
	for i := range p.texts {
		s := *(*string)(unsafe.Add(base, p.texts[i].mem))
		if len(s) > maxText {
			panic(fmt.Errorf("%w: a string of %d bytes: the longest is %d", ErrEncode, len(s), maxText))
		}
		n += len(s)
	}
	return n
}

// maxText bounds a string: its length takes four bytes.
const maxText = math.MaxUint32

// zones returns how many bytes the zones of the value at base take.
func (p *program) zones(base unsafe.Pointer) int {
	n := 0
	for i := range p.times {
		n += zoneLen(*(*time.Time)(unsafe.Add(base, p.times[i].mem)))
	}
	return n
}

// put writes the head and the texts of the value at base to memory that has room
// for them. Offsets are added up before they are applied: a pointer past the end
// of its object is none.
func (p *program) put(head, texts, base unsafe.Pointer) {
	for i := range p.moves {
		m := &p.moves[i]
		dst, src := unsafe.Add(head, m.at), unsafe.Add(base, m.mem)
		switch m.n {
		case 8:
			*(*[8]byte)(dst) = *(*[8]byte)(src)
		case 16:
			*(*[16]byte)(dst) = *(*[16]byte)(src)
		case 4:
			*(*[4]byte)(dst) = *(*[4]byte)(src)
		case 1:
			*(*byte)(dst) = *(*byte)(src)
		default:
			copy(unsafe.Slice((*byte)(dst), m.n), unsafe.Slice((*byte)(src), m.n))
		}
	}
	done := 0
	for i := range p.texts {
		t := &p.texts[i]
		s := *(*string)(unsafe.Add(base, t.mem))
		n := len(s)
		binary.LittleEndian.PutUint32((*[4]byte)(unsafe.Add(head, t.at))[:], uint32(n))
		if n == 0 {
			continue
		}
		dst, src := unsafe.Add(texts, done), unsafe.Pointer(unsafe.StringData(s))
		done += n
		if 8 <= n && n <= 16 { // Most keys: two words, which may overlap, cost less than a call.
			last := n - 8
			*(*[8]byte)(unsafe.Add(dst, last)) = *(*[8]byte)(unsafe.Add(src, last))
			*(*[8]byte)(dst) = *(*[8]byte)(src)
			continue
		}
		copy(unsafe.Slice((*byte)(dst), n), s)
	}
	for i := range p.times {
		t := &p.times[i]
		done += putTime(unsafe.Add(head, t.at), texts, done, *(*time.Time)(unsafe.Add(base, t.mem)))
	}
}

// detach is [Codec.Detach].
func (p *program) detach(v, from, was unsafe.Pointer) {
	for i := range p.texts {
		s := (*string)(unsafe.Add(v, p.texts[i].mem))
		if p.within(*s, from) {
			*s = owned(*s, *(*string)(unsafe.Add(was, p.texts[i].mem)))
		}
	}
}

// within reports whether s is part of a string of the value at base.
func (p *program) within(s string, base unsafe.Pointer) bool {
	at := uintptr(unsafe.Pointer(unsafe.StringData(s)))
	for i := range p.texts {
		t := *(*string)(unsafe.Add(base, p.texts[i].mem))
		if first := uintptr(unsafe.Pointer(unsafe.StringData(t))); at >= first && at-first < uintptr(len(t)) {
			return true
		}
	}
	return false
}

// owned returns was if it is s, or else a copy of s.
func owned(s, was string) string {
	if s == was {
		return was
	}
	return strings.Clone(s)
}

// checkBools reports the first byte of a head that is no boolean, or -1.
func (p *program) checkBools(head unsafe.Pointer) int {
	for _, at := range p.bools {
		if *(*byte)(unsafe.Add(head, at)) > 1 {
			return at
		}
	}
	return -1
}

// move copies what of a head is memory of the value at base.
func (p *program) move(base, head unsafe.Pointer) {
	for i := range p.moves {
		m := &p.moves[i]
		dst, src := unsafe.Add(base, m.mem), unsafe.Add(head, m.at)
		switch m.n {
		case 8:
			*(*[8]byte)(dst) = *(*[8]byte)(src)
		case 16:
			*(*[16]byte)(dst) = *(*[16]byte)(src)
		case 4:
			*(*[4]byte)(dst) = *(*[4]byte)(src)
		case 1:
			*(*byte)(dst) = *(*byte)(src)
		default:
			copy(unsafe.Slice((*byte)(dst), m.n), unsafe.Slice((*byte)(src), m.n))
		}
	}
}

// decodeHead reads head and texts of the value at src[pos:] into base.
func (p *program) decodeHead(src string, pos int, base unsafe.Pointer) (int, error) {
	if p.head == 0 {
		return pos, nil
	}
	if len(src)-pos < p.head {
		return 0, short(src, pos, uint64(p.head))
	}
	head := unsafe.Pointer(unsafe.StringData(src[pos:]))
	if at := p.checkBools(head); at >= 0 {
		return 0, fmt.Errorf("%w: at byte %d: %d for a boolean", ErrCorrupt, pos+at, src[pos+at])
	}
	p.move(base, head)
	pos += p.head
	for i := range p.texts {
		t := &p.texts[i]
		n := textLen(unsafe.Add(head, t.at))
		if n > len(src)-pos {
			return 0, short(src, pos, uint64(n))
		}
		*(*string)(unsafe.Add(base, t.mem)) = src[pos : pos+n]
		pos += n
	}
	for i := range p.times {
		at := unsafe.Add(head, p.times[i].at)
		n := zoneTextLen(at)
		if n > len(src)-pos {
			return 0, short(src, pos, uint64(n))
		}
		if err := getTime(at, src[pos:pos+n], (*time.Time)(unsafe.Add(base, p.times[i].mem))); err != nil {
			return 0, fmt.Errorf("%w: at byte %d: %w", ErrCorrupt, pos, err)
		}
		pos += n
	}
	return pos, nil
}

// textLen returns the length of the string whose head is at p.
func textLen(p unsafe.Pointer) int {
	return int(binary.LittleEndian.Uint32((*[stringHead]byte)(p)[:]))
}

// zoneTextLen returns the length of the zone of the time whose head is at p.
func zoneTextLen(p unsafe.Pointer) int {
	n := binary.LittleEndian.Uint32((*[timeHead]byte)(p)[12:])
	if n == zoneLocal {
		return 0
	}
	return int(n)
}

// A time's head is its second since 1970 in 8 bytes, its nanosecond in 4, and in
// 4 the length of its zone, which is its text: 0 for UTC, zoneLocal for Local,
// whose texts are empty, or else 4 bytes of offset in seconds and the name.
const (
	zoneUTC    = 0
	zoneLocal  = math.MaxUint32
	zoneOffset = 4
)

func zoneLen(t time.Time) int {
	if loc := t.Location(); loc == time.UTC || loc == time.Local {
		return 0
	}
	name, _ := t.Zone()
	return zoneOffset + len(name)
}

// putTime writes a time, and its zone at done in texts, and returns the length
// of the zone.
func putTime(head, texts unsafe.Pointer, done int, t time.Time) int {
	h := (*[timeHead]byte)(head)
	binary.LittleEndian.PutUint64(h[:], uint64(t.Unix()))
	binary.LittleEndian.PutUint32(h[8:], uint32(t.Nanosecond()))
	zone := h[12:]
	switch t.Location() {
	case time.UTC:
		binary.LittleEndian.PutUint32(zone, zoneUTC)
		return 0
	case time.Local:
		binary.LittleEndian.PutUint32(zone, zoneLocal)
		return 0
	}
	name, offset := t.Zone()
	n := zoneOffset + len(name)
	binary.LittleEndian.PutUint32(zone, uint32(n))
	dst := unsafe.Slice((*byte)(unsafe.Add(texts, done)), n)
	binary.LittleEndian.PutUint32(dst, uint32(int32(offset)))
	copy(dst[zoneOffset:], name)
	return n
}

// getTime reads a time from its head and its text.
func getTime(head unsafe.Pointer, zone string, t *time.Time) error {
	h := (*[timeHead]byte)(head)
	sec := int64(binary.LittleEndian.Uint64(h[:]))
	nsec := binary.LittleEndian.Uint32(h[8:])
	if nsec > 999_999_999 {
		return fmt.Errorf("a time with %d nanoseconds", nsec)
	}
	loc := time.UTC
	switch n := binary.LittleEndian.Uint32(h[12:]); {
	case n == zoneLocal:
		loc = time.Local
	case n == zoneUTC:
	case n < zoneOffset:
		return fmt.Errorf("a zone of %d bytes", n)
	default:
		loc = fixedZone(zone[zoneOffset:], int(int32(binary.LittleEndian.Uint32(bytesOf(zone)))))
	}
	*t = time.Unix(sec, int64(nsec)).In(loc)
	return nil
}

// zones has the fixed zones that were decoded, so that each is allocated once.
// It holds maxZones of them at most, since names come from outside.
var zones struct {
	sync.RWMutex
	known map[zone]*time.Location
}

type zone struct {
	name   string
	offset int
}

const maxZones = 1024

func fixedZone(name string, offset int) *time.Location {
	zones.RLock()
	loc := zones.known[zone{name, offset}]
	zones.RUnlock()
	if loc != nil {
		return loc
	}
	name = strings.Clone(name)
	loc = time.FixedZone(name, offset)
	zones.Lock()
	defer zones.Unlock()
	if was := zones.known[zone{name, offset}]; was != nil {
		return was
	}
	if zones.known == nil {
		zones.known = map[zone]*time.Location{}
	}
	if len(zones.known) < maxZones {
		zones.known[zone{name, offset}] = loc
	}
	return loc
}
