// Package ids has the identities that the parts of Weir name each other by:
// small comparable values that print as users see them. It imports nothing of
// the project, so that every package can speak of the same job.
package ids

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// JobID names a job for its whole life, over all its attempts. It prints as 32
// hexadecimal digits, as Flink's does.
type JobID [16]byte

// NewJobID returns a random job id.
func NewJobID() JobID { return JobID(random()) }

// ParseJobID reads the 32 hexadecimal digits that [JobID.String] prints.
func ParseJobID(s string) (JobID, error) {
	b, err := parse(s)
	if err != nil {
		return JobID{}, fmt.Errorf("job id %q: %w", s, err)
	}
	return JobID(b), nil
}

// String returns the id as 32 hexadecimal digits.
func (id JobID) String() string { return hex.EncodeToString(id[:]) }

// SessionID names one registration of a TaskManager with a JobManager; a
// message that carries an older one is dropped.
type SessionID [16]byte

// NewSessionID returns a random session id.
func NewSessionID() SessionID { return SessionID(random()) }

// ParseSessionID reads the 32 hexadecimal digits that [SessionID.String] prints.
func ParseSessionID(s string) (SessionID, error) {
	b, err := parse(s)
	if err != nil {
		return SessionID{}, fmt.Errorf("session id %q: %w", s, err)
	}
	return SessionID(b), nil
}

// String returns the id as 32 hexadecimal digits.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// TaskManagerID is the stable name of a TaskManager
// (taskmanager.resource-id); by default "host:port-abcdef".
type TaskManagerID string

// Attempt numbers the executions of a job from 1. Every task, channel
// handshake and external effect carries it; those of an older attempt are
// dropped.
type Attempt uint32

// Subtask names one parallel instance of a vertex of a job's graph.
type Subtask struct {
	// Vertex is the vertex's index in the job graph.
	Vertex int
	// Index is the subtask's index, from 0.
	Index int
}

// String prints the subtask as "vertex 2 subtask 3".
func (s Subtask) String() string { return fmt.Sprintf("vertex %d subtask %d", s.Vertex, s.Index) }

func random() (b [16]byte) {
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails: it ends the process instead.
	return b
}

func parse(s string) (b [16]byte, err error) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(b) {
		return b, fmt.Errorf("want %d hexadecimal digits", 2*len(b))
	}
	return [16]byte(raw), nil
}
