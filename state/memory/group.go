package memory

import "math/bits"

// group is the control bytes of eight slots, the first in the lowest byte. A
// control byte is 0 if its slot is free, 1 if its key was deleted and searches go
// on past it, and otherwise a tag: the top bit and seven bits of the key's hash.
// (The layout is that of Google's Swiss tables, as in absl::flat_hash_map, with
// eight bytes in a register in place of sixteen.)
type group uint64

// set8 is a set of the eight slots of a group: the top bit of each byte.
type set8 uint64

const (
	groupSlots = 8

	markFree    = 0
	markDeleted = 1

	lowBits = 0x0101010101010101
	topBits = 0x8080808080808080
)

// tagOf returns the control byte of a key. Its seven bits of the hash are above
// those that index a table, and below the 16 that are the key's group.
func tagOf(hash uint64) uint64 { return hash>>33&0x7f | 0x80 }

// match returns the slots that have the tag. A slot behind one that has it may be
// in the set without having it.
func (g group) match(tag uint64) set8 {
	x := uint64(g) ^ tag*lowBits
	return set8((x - lowBits) &^ x & topBits)
}

// occupied returns the slots that hold a key.
func (g group) occupied() set8 { return set8(g & topBits) }

// vacant returns the slots that hold no key.
func (g group) vacant() set8 { return set8(^g & topBits) }

// free returns the slots that hold no key and end a search.
func (g group) free() set8 { return set8(^g &^ (g << 7) & topBits) }

func (g group) isDeleted(slot uint32) bool { return uint8(g>>(8*slot)) == markDeleted }

func (g *group) set(slot uint32, mark uint64) {
	*g = *g&^(0xff<<(8*slot)) | group(mark<<(8*slot))
}

// first returns the first slot of the set; 8 if it is empty.
func (s set8) first() uint32 { return uint32(bits.TrailingZeros64(uint64(s))) / 8 }

// len returns the number of slots in the set.
func (s set8) len() int { return bits.OnesCount64(uint64(s)) }

// rest returns the set without its first slot.
func (s set8) rest() set8 { return s & (s - 1) }

// nextOccupied returns the first occupied slot from cursor on.
func nextOccupied(groups []group, cursor uint32) (next uint32, ok bool) {
	g := int(cursor / groupSlots)
	if g >= len(groups) {
		return 0, false
	}
	set := groups[g].occupied() >> (8 * (cursor % groupSlots)) << (8 * (cursor % groupSlots))
	for set == 0 {
		if g++; g == len(groups) {
			return 0, false
		}
		set = groups[g].occupied()
	}
	return uint32(g)*groupSlots + set.first(), true
}

// candidate returns the first slot of group g that has the tag of hash, and false if
// there is none. It has no branch.
func candidate(groups []group, g, hash uint64) (slot uint32, ok bool) {
	found := groups[g].match(tagOf(hash))
	return uint32(g)*groupSlots + found.first(), found != 0
}

// homes writes to out, for each hash, its candidate in its home group, and returns
// the indices of those that have none.
func homes(groups []group, hashes []uint64, out, misses []uint32) []uint32 {
	out, misses = out[:len(hashes)], misses[:len(hashes)]
	mask, n := uint64(len(groups)-1), 0
	for i, h := range hashes {
		slot, ok := candidate(groups, h&mask, h)
		out[i], misses[n] = slot, uint32(i)
		if !ok {
			n++
		}
	}
	return misses[:n]
}

// neighbours does for the hashes with the given indices, in the groups after their
// home groups, what homes does. It returns its result in the same array.
func neighbours(groups []group, hashes []uint64, out, indices []uint32) (misses []uint32) {
	mask, n := uint64(len(groups)-1), 0
	for _, i := range indices {
		slot, ok := candidate(groups, (hashes[i]+1)&mask, hashes[i])
		out[i], indices[n] = slot, i
		if !ok {
			n++
		}
	}
	return indices[:n]
}
