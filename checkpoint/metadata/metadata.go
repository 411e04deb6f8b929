package metadata

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"time"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/ids"
)

// The most of each that a checkpoint may have, and of the length of a text.
const (
	// MaxVertices is as many as a plan may have.
	MaxVertices = 4_096
	// MaxParallelism is as many subtasks as there are key groups.
	MaxParallelism = 1 << 16
	// MaxElements bounds vertices, operators, tasks and splits together.
	MaxElements = 4 << 20
	// MaxText is the longest name or id in bytes.
	MaxText = 64 << 10
)

// Kind says who owns a checkpoint.
type Kind uint8

const (
	// Checkpoint is Weir's, which deletes it when it is no longer retained.
	Checkpoint Kind = iota + 1
	// Savepoint is the user's.
	Savepoint
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Checkpoint:
		return "checkpoint"
	case Savepoint:
		return "savepoint"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Metadata describes one checkpoint of which every task has stored its part.
type Metadata struct {
	Kind    Kind
	Mode    checkpoint.Mode
	Job     ids.JobID
	JobName string
	// ID is the checkpoint's, and not 0.
	ID checkpoint.ID
	// Attempt is the job's when it was taken, and not 0.
	Attempt ids.Attempt
	// Triggered is when its tasks were told, Acknowledged when the last of them had
	// answered. Both are kept to the millisecond, in UTC.
	Triggered, Acknowledged time.Time
	// Final says that all tasks had ended their input before they were triggered.
	Final bool
	// Fingerprint is that of the job's graph.
	Fingerprint [32]byte
	// Vertices are those of the job's graph, in its order.
	Vertices []Vertex
}

// Vertex is a chain of operators that ran in one task.
type Vertex struct {
	// Operators are the stable ids of the chain's operators, from its head.
	Operators []string
	// Tasks are all subtasks in the order of their indices: the vertex's
	// parallelism is their number.
	Tasks []Task
	// Source is what was left of a source. It is nil for a vertex that is none, and
	// for one that had not listed its splits yet, which lists them after a restore.
	Source *Source
}

// Task is what one subtask has acknowledged.
type Task struct {
	Snapshot Snapshot
	checkpoint.Figures
}

// Snapshot is where the snapshot file of a task is.
type Snapshot struct {
	// Name is the file's path, with slashes, from the job's directory in checkpoint
	// storage, or from the directory of the savepoint. It is empty for a file that is
	// inline.
	Name string
	// Size is the file's length in bytes, and Digest its SHA-256.
	Size   int64
	Digest [32]byte
	// Inline is the file itself.
	Inline []byte
}

// Inline returns a snapshot that has the file in itself. It keeps the slice.
func Inline(file []byte) Snapshot {
	return Snapshot{Size: int64(len(file)), Digest: sha256.Sum256(file), Inline: file}
}

// Source has the splits of a source that no subtask had been given.
type Source struct{ Splits []Split }

// Split is one of them.
type Split struct {
	ID string
	// Data is as the source encodes it.
	Data []byte
}

// check says what is wrong with a checkpoint (M4).
func (m *Metadata) check() error {
	switch {
	case m.Kind != Checkpoint && m.Kind != Savepoint:
		return fmt.Errorf("it is of unknown kind %d", uint8(m.Kind))
	case m.Mode != checkpoint.ExactlyOnce && m.Mode != checkpoint.AtLeastOnce:
		return fmt.Errorf("it is of unknown mode %d", uint8(m.Mode))
	case m.Job == ids.JobID{}:
		return fmt.Errorf("it has no job id")
	case len(m.JobName) > MaxText:
		return fmt.Errorf("a job name of %d bytes: at most %d are possible", len(m.JobName), MaxText)
	case m.ID == 0 || m.Attempt == 0:
		return fmt.Errorf("it has id %d and attempt %d: both are numbered from 1", m.ID, m.Attempt)
	case len(m.Vertices) == 0 || len(m.Vertices) > MaxVertices:
		return fmt.Errorf("it has %d vertices: there are 1 to %d", len(m.Vertices), MaxVertices)
	}
	elements := 0
	vertexOf := map[string]int{}
	for i := range m.Vertices {
		v := &m.Vertices[i]
		for _, id := range v.Operators {
			if other, twice := vertexOf[id]; twice {
				return fmt.Errorf("operator %.100q is in vertex %d and in vertex %d", id, other, i)
			}
			vertexOf[id] = i
		}
		if err := v.check(); err != nil {
			return fmt.Errorf("vertex %d: %w", i, err)
		}
		elements += 1 + len(v.Operators) + len(v.Tasks)
		if v.Source != nil {
			elements += len(v.Source.Splits)
		}
	}
	if elements > MaxElements {
		return fmt.Errorf("it has %d vertices, operators, tasks and splits: at most %d are possible", elements, MaxElements)
	}
	return nil
}

func (v *Vertex) check() error {
	if len(v.Operators) == 0 {
		return fmt.Errorf("it has no operators")
	}
	for _, id := range v.Operators {
		if id == "" || len(id) > MaxText {
			return fmt.Errorf("the id of an operator has %d bytes: it has 1 to %d", len(id), MaxText)
		}
	}
	if len(v.Tasks) == 0 || len(v.Tasks) > MaxParallelism {
		return fmt.Errorf("operator %.100q: it has %d subtasks: there are 1 to %d", v.Operators[0], len(v.Tasks), MaxParallelism)
	}
	for i := range v.Tasks {
		if err := v.Tasks[i].check(); err != nil {
			return fmt.Errorf("operator %.100q: subtask %d: %w", v.Operators[0], i, err)
		}
	}
	if v.Source == nil {
		return nil
	}
	for i, split := range v.Source.Splits {
		if len(split.ID) > MaxText {
			return fmt.Errorf("operator %.100q: split %d: an id of %d bytes: at most %d are possible", v.Operators[0], i, len(split.ID), MaxText)
		}
	}
	return nil
}

func (t *Task) check() error {
	s, f := &t.Snapshot, &t.Figures
	switch {
	case (s.Name == "") == (len(s.Inline) == 0):
		return fmt.Errorf("its snapshot has the name %.100q and %d bytes inline: it has one of the two", s.Name, len(s.Inline))
	case s.Name != "" && (s.Name == "." || !fs.ValidPath(s.Name) || len(s.Name) > MaxText):
		return fmt.Errorf("its snapshot has the name %.100q: want a path of a file below the job's directory", s.Name)
	case s.Size <= 0 || s.Name == "" && s.Size != int64(len(s.Inline)):
		return fmt.Errorf("its snapshot has a size of %d bytes, with %d bytes inline", s.Size, len(s.Inline))
	case s.Name == "" && s.Digest != sha256.Sum256(s.Inline):
		return fmt.Errorf("its inline snapshot has digest %x, its bytes have %x", s.Digest, sha256.Sum256(s.Inline))
	case min(f.StateSize, f.StoredSize) < 0 || min(f.StartDelay, f.Alignment, f.Sync, f.Async) < 0:
		return fmt.Errorf("a negative figure: %+v", *f)
	}
	return nil
}
