package memory

// ArenaBytes returns the bytes of keys that the arena counts.
func (t *Table[K, A]) ArenaBytes() int { return t.arena.Used() }

// Copies returns how many pages were copied for the snapshot and not yet read.
func (s *Snapshot[K, A]) Copies() int {
	n := 0
	for _, c := range s.copies {
		if c.slots != nil {
			n++
		}
	}
	return n
}

// Snapshotting reports whether the table copies pages.
func (t *Table[K, A]) Snapshotting() bool { return t.snapshotting() }

// HashWith sets another hash for the keys than that of their kind.
func (t *Table[K, A]) HashWith(hash func(K) uint64) { t.hash = hash }
