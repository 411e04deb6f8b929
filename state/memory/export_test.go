package memory

// ArenaBytes returns the bytes of keys that the arena counts.
func (t *Table[K, A]) ArenaBytes() int { return t.arena.Used() }

// Copies returns how many pages were copied for the snapshot and not yet read.
func (s *Snapshot[K, A]) Copies() int {
	n := 0
	for _, c := range s.copies {
		if c != nil {
			n++
		}
	}
	return n
}

// Snapshotting reports whether the table copies pages.
func (t *Table[K, A]) Snapshotting() bool { return t.snapshotting() }
