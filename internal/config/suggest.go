package config

import (
	"fmt"
	"strings"
)

// longestSuggested is longer than any key and any variable.
const longestSuggested = 100

// suggestion completes the message about an unknown key.
func suggestion(name string) string {
	if nearest := nearestKey(name); nearest != "" {
		return fmt.Sprintf(": did you mean %q?", nearest)
	}
	return ": docs/configuration.md lists all keys"
}

// nearestKey returns the key, of Weir or of Flink, that takes the fewest edits
// to reach; none where that would be more than a quarter of the name. Keys of
// Weir go first, then the alphabet decides.
func nearestKey(name string) string {
	if len(name) > longestSuggested {
		return ""
	}
	name = strings.ToLower(name)
	nearest, fewest := "", max(2, len(name)/4)+1
	try := func(candidate string) {
		if d := distance(name, strings.ToLower(candidate), fewest); d < fewest {
			nearest, fewest = candidate, d
		}
	}
	for _, k := range keys().sorted {
		try(k.Name)
	}
	for _, k := range flinkKeys() {
		try(k)
	}
	return nearest
}

// distance returns the number of letters to insert, remove, replace or swap
// with their neighbour to turn a into b (optimal string alignment), or limit
// where it is not less than that.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
