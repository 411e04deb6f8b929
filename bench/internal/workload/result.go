package workload

// Result is what was found in a number of rows, a row being the count and sum of
// a key's window. The zero value has none.
type Result struct {
	// Rows is the number of rows: of the pairs of key and window that have events.
	Rows int64 `json:"rows"`
	// Events and Sum are the rows' counts and sums, added up.
	Events int64 `json:"events"`
	Sum    int64 `json:"sum"`
	// Checksum tells rows with other content apart; the order does not matter.
	Checksum uint64 `json:"checksum"`
}

// Row adds a row: the window of key that begins at start.
func (r *Result) Row(key uint64, start, count, sum int64) {
	r.Rows++
	r.Events += count
	r.Sum += sum
	// Odd factors of about 64 bits keep the four apart; the product is folded so
	// that high bits count as well (A1: addition commutes).
	h := key*0x9e3779b97f4a7c15 + uint64(start)*0xc2b2ae3d27d4eb4f + uint64(count)*0x165667b19e3779f9 + uint64(sum)*0x27d4eb2f165667c5
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	r.Checksum += h ^ h>>32
}

// Add adds the rows of another result.
func (r *Result) Add(other Result) {
	r.Rows += other.Rows
	r.Events += other.Events
	r.Sum += other.Sum
	r.Checksum += other.Checksum
}

// SubtaskResult is what one subtask, or one process, found, as it prints it.
type SubtaskResult struct {
	Result
	Subtask int `json:"subtask"`
	// Opened is when the subtask began, in ms since the epoch.
	Opened int64 `json:"opened_unix_ms"`
}
