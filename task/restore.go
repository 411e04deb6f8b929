package task

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/weirstream/weir/state/snapshot"
)

// errGivenUp is what a snapshot ends with that nobody wants any more.
var errGivenUp = errors.New("the checkpoint was given up")

// Restored is the snapshot of a subtask of the job's vertex, as it was.
type Restored struct {
	Vertex, Subtask, Parallelism int
	// Path is the file; Inline is the file itself where it has none.
	Path   string
	Inline []byte
}

// restoredFile is one that is open.
type restoredFile struct {
	Restored
	// file is nil for one that is inline.
	file   *os.File
	reader *snapshot.Reader
}

func openRestored(r Restored) (*restoredFile, error) {
	if r.Path == "" {
		reader, err := snapshot.Open(bytes.NewReader(r.Inline), int64(len(r.Inline)))
		return &restoredFile{Restored: r, reader: reader}, err
	}
	f, err := os.Open(r.Path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	reader, err := snapshot.Open(f, info.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", r.Path, err), f.Close())
	}
	return &restoredFile{Restored: r, file: f, reader: reader}, nil
}

// where says what the file is, for messages.
func (f *restoredFile) where() string {
	where := fmt.Sprintf("the snapshot of subtask %d of %d", f.Subtask+1, f.Parallelism)
	if f.Path != "" {
		where += ", " + f.Path
	}
	return where
}

func (f *restoredFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// openRestored opens the snapshots that this subtask may begin with: its own, or those
// of all where the parallelism was another one.
func (c *Context) openRestored(vertex int, all []Restored) error {
	if c.checkpoints == nil {
		return nil
	}
	for _, r := range all {
		if r.Vertex != vertex || r.Parallelism == c.Parallelism && r.Subtask != c.Subtask {
			continue
		}
		f, err := openRestored(r)
		if err != nil {
			return errors.Join(fmt.Errorf("the state to begin with: %w", err), c.closeRestored())
		}
		c.checkpoints.restored = append(c.checkpoints.restored, f)
	}
	return nil
}

// closeRestored lets go of them when everything is restored.
func (c *Context) closeRestored() (err error) {
	if c.checkpoints == nil {
		return nil
	}
	for _, f := range c.checkpoints.restored {
		err = errors.Join(err, f.close())
	}
	c.checkpoints.restored = nil
	return err
}

// each calls f for each restored file that has a section of the operator that is
// being built.
func (c *checkpoints) each(name string, f func(file *restoredFile, section int) error) error {
	for _, file := range c.restored {
		for i, s := range file.reader.Sections() {
			if s.Operator != c.operator || s.Name != name {
				continue
			}
			if err := f(file, i); err != nil {
				return fmt.Errorf("restore %q of operator %s: %w (%s)", name, c.operator, err, file.where())
			}
		}
	}
	return nil
}

// restoreEntries calls f for the entries of a section of this subtask: those that it
// wrote itself, or, where the parallelism was another one, those that all have
// written.
func (c *Context) restoreEntries(name string, f func(entry string) error) error {
	if c.checkpoints == nil {
		return nil
	}
	return c.checkpoints.each(name, func(file *restoredFile, section int) error {
		if file.Parallelism == c.Parallelism && file.Subtask != c.Subtask {
			return nil
		}
		for entry, err := range file.reader.Entries(section) {
			if err != nil {
				return err
			}
			if err := f(string(entry)); err != nil {
				return fmt.Errorf("an entry: %w", err)
			}
		}
		return nil
	})
}

// restoreShare calls f for this subtask's share of the entries of a section: those that
// it wrote itself, or, where the parallelism was another one, some of all.
func (c *Context) restoreShare(name string, f func(entry string) error) error {
	if c.checkpoints == nil {
		return nil
	}
	turn := 0
	return c.checkpoints.each(name, func(file *restoredFile, section int) error {
		for entry, err := range file.reader.Entries(section) {
			if err != nil {
				return err
			}
			mine := file.Subtask == c.Subtask
			if file.Parallelism != c.Parallelism {
				mine = turn%c.Parallelism == c.Subtask
				turn++
			}
			if !mine {
				continue
			}
			if err := f(string(entry)); err != nil {
				return fmt.Errorf("an entry: %w", err)
			}
		}
		return nil
	})
}

// registerTime adds a time to the task's snapshots, and returns what is restored: of
// several the earliest, and [NoTime] if there is none.
func (c *Context) registerTime(name string, get func() int64) (restored int64, err error) {
	c.register(name, snapshot.UnionList, nil, func() capture { return entries(appendVarint(nil, get())) })
	restored, found := MaxTime, false
	err = c.restoreEntries(name, func(entry string) error {
		t, rest, err := takeVarint(entry)
		restored, found = min(restored, t), true
		return last(rest, err)
	})
	if !found {
		restored = NoTime
	}
	return restored, err
}
