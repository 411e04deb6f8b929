package memory

// ArenaBytes returns the bytes of keys that the arena counts.
func (t *Table[K, A]) ArenaBytes() int { return t.arena.Used() }
