package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir"
)

var errKilled = errors.New("the process was killed")

// mortal is a disk of a process that is killed after so many steps.
type mortal struct {
	disk
	steps int
	files []partFile
}

func (m *mortal) step() error {
	if m.steps--; m.steps < 0 {
		return errKilled
	}
	return nil
}

// kill is what the kernel does: locks end, files stay.
func (m *mortal) kill(tb check) {
	tb.Helper()
	m.steps = 0
	for _, f := range m.files {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			tb.Fatal(err)
		}
	}
}

func (m *mortal) MakeDir(path string) error {
	if err := m.step(); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o700)
}

func (m *mortal) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	return m.disk.ReadDir(path)
}

func (m *mortal) Create(path string) (partFile, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	f, err := m.disk.Create(path)
	if err != nil {
		return nil, err
	}
	m.files = append(m.files, f)
	return &mortalFile{f, m}, nil
}

func (m *mortal) Rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.disk.Rename(from, to)
}

func (m *mortal) Remove(path string) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.disk.Remove(path)
}

func (m *mortal) SyncDir(string) error { return m.step() }

type mortalFile struct {
	partFile
	disk *mortal
}

func (f *mortalFile) Write(b []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		n, _ := f.partFile.Write(b[:len(b)/2])
		return n, err
	}
	return f.partFile.Write(b)
}

func (f *mortalFile) Sync() error { return f.disk.step() }

// job drives the writers of a sink as the engine does, through attempts and
// checkpoints.
type job struct {
	sink  Sink[string]
	lines []string

	// The last checkpoint that is complete: how many lines it has, and what each
	// subtask had described and not committed.
	position int
	pending  [][][]byte
}

// attempt runs the job to its end, or until its process is killed.
func (j *job) attempt(tb check, parallelism int, storage storage) error {
	sink := j.sink
	sink.storage = storage
	writers := make([]weir.Writer[string], parallelism)
	defer func() {
		for _, w := range writers {
			if w != nil {
				_ = w.Close() // after a kill it fails, too
			}
		}
	}()
	shares := make([][][]byte, parallelism)
	turn := 0
	for i, list := range j.pending {
		for _, d := range list {
			to := i
			if len(j.pending) != parallelism {
				to, turn = turn%parallelism, turn+1
			}
			shares[to] = append(shares[to], d)
		}
	}
	for i := range writers {
		w, err := sink.Open(tb.Context(), weir.Subtask{Index: i, Parallelism: parallelism})
		if err != nil {
			return err
		}
		writers[i] = w
		if err := w.(weir.Committer).Recover(shares[i]); err != nil {
			return err
		}
	}
	pending := make([][][]byte, parallelism)
	at := j.position
	for checkpoint := uint64(1); ; checkpoint++ {
		chunk := j.lines[at:min(at+7, len(j.lines))]
		for i, line := range chunk {
			if err := writers[i%parallelism].Write([]string{line}); err != nil {
				return err
			}
		}
		at += len(chunk)
		for i, w := range writers {
			prepared, err := w.(weir.Committer).Prepare(checkpoint)
			if err != nil {
				return err
			}
			if prepared != nil {
				pending[i] = append(pending[i], prepared)
			}
		}
		if checkpoint%3 == 2 && at < len(j.lines) {
			continue // it is declined
		}
		j.position, j.pending = at, make([][][]byte, parallelism)
		for i := range pending {
			j.pending[i] = slices.Clone(pending[i])
		}
		for i, w := range writers {
			for _, d := range pending[i] {
				if err := w.(weir.Committer).Commit(d); err != nil {
					return err
				}
			}
			pending[i] = nil
		}
		if at == len(j.lines) {
			return nil
		}
	}
}

// take moves all visible files of a directory to another, as a user does.
func take(tb check, dir, to string) {
	tb.Helper()
	_, visible := names(tb, dir)
	for _, name := range visible {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
			tb.Fatal(err)
		}
	}
}

func numbered(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("line %04d", i))
	}
	return lines
}

// expect compares the lines of directories with those that must be there.
func expect(tb check, want []string, dirs ...string) {
	tb.Helper()
	var got []string
	for _, dir := range dirs {
		got = append(got, readParts(tb, Lines(dir), dir)...)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		tb.Fatalf("%d lines, want %d: %q", len(got), len(want), got)
	}
}

func hiddenParts(tb check, dir string) (hidden []string) {
	tb.Helper()
	all, _ := names(tb, dir)
	for _, name := range all {
		if p, ok := parsePart(name); ok && !p.complete {
			hidden = append(hidden, name)
		}
	}
	return hidden
}

// TestKilledAtEveryStep kills the process of a job at each step that it takes on the
// disk, and that of its second attempt at some; the third ends. It goes on with as many
// subtasks, fewer or more. Each line is visible once in the end, also where somebody
// moves files away as soon as they are there; and nothing else is left but what was
// written before there was a checkpoint of the parallelism.
func TestKilledAtEveryStep(t *testing.T) {
	root, runs := t.TempDir(), 0
	lines := numbered(28)
	for i, parallelisms := range [][3]int{{2, 2, 2}, {2, 2, 2}, {2, 3, 3}, {3, 1, 1}, {3, 2, 3}} {
		killed := true
		for k := 1; killed; k++ {
			runs++
			moved := (k+i)%2 == 0
			dir, taken := filepath.Join(root, fmt.Sprint(runs)), filepath.Join(root, fmt.Sprint(runs, " taken"))
			for _, d := range []string{dir, taken} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			j := &job{sink: LinesSink(dir).RollSize(25), lines: lines}
			if k/2%2 == 0 {
				j.sink = j.sink.Overwrite()
			}
			known := true // to a later attempt is the run of each subtask of an attempt
			for n, steps := range []int{k, 1 + k*5%37, 1 << 30} {
				m := &mortal{steps: steps}
				before := j.position
				err := j.attempt(t, parallelisms[n], m)
				m.kill(t)
				if n == 0 {
					killed = err != nil
				}
				known = known && (j.position > before || n == 2 || n == 1 && parallelisms[2] == parallelisms[1] && parallelisms[1] <= parallelisms[0])
				if err != nil && (!errors.Is(err, errKilled) || n == 2) {
					t.Fatalf("%v, killed at %d: attempt %d: %v", parallelisms, k, n, err)
				}
				if moved {
					take(t, dir, taken)
				}
				if err == nil {
					break
				}
			}
			expect(t, lines, dir, taken)
			if hidden := hiddenParts(t, dir); known && len(hidden) > 0 {
				t.Fatalf("%v, killed at %d: left are %q", parallelisms, k, hidden)
			}
		}
	}
	if runs < 300 {
		t.Errorf("only %d runs", runs)
	}
}

// recovered returns a writer of a job that takes checkpoints.
func recovered(tb check, sink Sink[string], subtask weir.Subtask, prepared ...[]byte) committing {
	tb.Helper()
	w, err := sink.Open(tb.Context(), subtask)
	if err != nil {
		tb.Fatal(err)
	}
	c := w.(committing)
	if err := c.Recover(prepared); err != nil {
		tb.Fatal(err)
	}
	return c
}

type committing interface {
	weir.Writer[string]
	weir.Committer
}

func prepare(tb check, w committing, lines ...string) []byte {
	tb.Helper()
	if err := w.Write(lines); err != nil {
		tb.Fatal(err)
	}
	d, err := w.Prepare(1)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func closed(tb check, w committing) {
	tb.Helper()
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
}

// TestOneFilePerCheckpoint expects what is written between two checkpoints in one file,
// which is visible when the second is complete and not before.
func TestOneFilePerCheckpoint(t *testing.T) {
	dir := t.TempDir()
	w := recovered(t, LinesSink(dir), only)
	for i, lines := range [][]string{{"a", "b"}, {}, {"c"}} {
		d := prepare(t, w, lines...)
		_, before := names(t, dir)
		if err := w.Commit(d); err != nil {
			t.Fatal(err)
		}
		_, after := names(t, dir)
		if want := len(before) + min(1, len(lines)); len(after) != want {
			t.Errorf("checkpoint %d: %q, then %q", i, before, after)
		}
	}
	if err := w.Write([]string{"given up"}); err != nil {
		t.Fatal(err)
	}
	closed(t, w)
	expect(t, []string{"a", "b", "c"}, dir)
	if hidden := hiddenParts(t, dir); len(hidden) > 0 {
		t.Errorf("left are %q", hidden)
	}
}

// TestCommitAgain repeats a commit in the same process and in a later one, after the
// user has moved the file away.
func TestCommitAgain(t *testing.T) {
	dir, taken := t.TempDir(), t.TempDir()
	w := recovered(t, LinesSink(dir), only)
	d := prepare(t, w, "a")
	for range 2 {
		if err := w.Commit(d); err != nil {
			t.Fatal(err)
		}
	}
	take(t, dir, taken)
	if err := w.Commit(d); err != nil {
		t.Fatal(err)
	}
	closed(t, w)
	for _, subtask := range []weir.Subtask{only, {Index: 1, Parallelism: 5}} {
		closed(t, recovered(t, LinesSink(dir), subtask, d, d))
	}
	if _, visible := names(t, dir); len(visible) > 0 {
		t.Errorf("there are %q", visible)
	}
	expect(t, []string{"a"}, taken)
}

// TestLostPart expects an error that names all, as often as it is tried, where a part is
// neither under its temporary nor its final name and nothing proves that it was.
func TestLostPart(t *testing.T) {
	dir := t.TempDir()
	w := recovered(t, LinesSink(dir), only)
	d := prepare(t, w, "a")
	closed(t, w)
	hidden := hiddenParts(t, dir)
	content, err := os.ReadFile(filepath.Join(dir, hidden[0]))
	if err = errors.Join(err, os.Remove(filepath.Join(dir, hidden[0]))); err != nil {
		t.Fatal(err)
	}
	final := strings.TrimSuffix(hidden[0][1:], inProgress)
	for range 2 {
		w, err := LinesSink(dir).Open(t.Context(), only)
		if err != nil {
			t.Fatal(err)
		}
		err = w.(committing).Recover([][]byte{d})
		for _, want := range []string{filepath.Join(dir, hidden[0]), filepath.Join(dir, final), filepath.Join(dir, proofs, final), "put back"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q in it", err, want)
			}
		}
		closed(t, w.(committing))
	}

	// What is put back is believed if it is what was there, under either name.
	for _, name := range []string{hidden[0], final} {
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, proofs)), os.WriteFile(filepath.Join(dir, name), []byte("b\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		w, err := LinesSink(dir).Open(t.Context(), only)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.(committing).Recover([][]byte{d}); err == nil || !strings.Contains(err.Error(), name+" is not what was prepared") {
			t.Errorf("a changed file: %v", err)
		}
		closed(t, w.(committing))
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		closed(t, recovered(t, LinesSink(dir), only, d))
		expect(t, []string{"a"}, dir)
	}
}
