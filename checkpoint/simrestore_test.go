package checkpoint

import (
	"fmt"
)

// restore has a task read what it is restored from, at some later time.
func (w *world) restore(t *simTask, from *Record) {
	if from == nil {
		t.restored = true
		return
	}
	var try func()
	try = func() {
		w.ask(simOp{name: "restore", by: t, apply: func() func() {
			if !t.dead && !t.restored {
				t.readFrom(from)
			}
			return func() {}
		}, unknown: try, failed: try})
	}
	try()
}

// readFrom restores a task from a checkpoint of any parallelism.
func (t *simTask) readFrom(from *Record) {
	why := fmt.Sprintf("S9: %s is restored from checkpoint %d", t.id, from.ID)
	meta := t.w.content(from.Metadata, why)
	if meta == nil {
		return
	}
	var parts []*simPart
	for _, a := range meta.meta.tasks {
		if a.Task.Vertex == t.id.Vertex {
			f := t.w.content(string(a.Handle), why)
			if f == nil {
				return
			}
			parts = append(parts, f.part)
		}
	}
	if t.source() {
		t.restorePositions(parts)
	} else if t.restoreCounts(parts, from.ID, why); t.w.err == nil {
		t.restoreCommits(parts)
	}
	t.restored = true
}

func (t *simTask) restorePositions(parts []*simPart) {
	var counts []int
	for _, p := range parts {
		counts = append(counts, len(p.positions))
	}
	for _, l := range RedistributeList(counts, t.w.parallelism[0])[t.id.Index] {
		t.positions = append(t.positions, parts[l.Subtask].positions[l.First:l.First+l.Count]...)
	}
}

func (t *simTask) restoreCounts(parts []*simPart, id ID, why string) {
	var ranges []KeyRange
	for _, p := range parts {
		ranges = append(ranges, p.groups)
	}
	redistributed, err := RedistributeKeys(ranges, t.w.parallelism[1])
	if err != nil {
		t.w.failf("%s: %v", why, err)
		return
	}
	for _, r := range redistributed[t.id.Index] {
		for _, page := range parts[r.Subtask].pages {
			f := t.w.content(page.file.Name, why)
			if f == nil {
				return
			}
			for k, n := range f.page.counts {
				if group := uint16(simHash(k) >> 48); group >= r.Groups.First && group <= r.Groups.Last {
					t.counts[k] += n
				}
			}
		}
	}
	if len(parts) == t.w.parallelism[1] {
		// Nothing has to be written again until it changes.
		t.manifests[id] = parts[t.id.Index].pages
		for i, page := range parts[t.id.Index].pages {
			t.versions[i] = page.version
		}
		return
	}
	t.w.census.Rescaled++
	for i := range t.versions {
		t.versions[i] = 1
	}
}

func (t *simTask) restoreCommits(parts []*simPart) {
	var counts []int
	for _, p := range parts {
		counts = append(counts, len(p.uncommitted))
	}
	var restored []Committable
	for _, l := range RedistributeList(counts, t.w.parallelism[1])[t.id.Index] {
		restored = append(restored, parts[l.Subtask].uncommitted[l.First:l.First+l.Count]...)
	}
	t.commitStep(CommitsRestored{Committables: restored})
}
