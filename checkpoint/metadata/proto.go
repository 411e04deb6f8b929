package metadata

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/ids"
	checkpointv1 "github.com/weirstream/weir/proto/gen/weir/checkpoint/v1"
)

// appendMessage appends the message of a checkpoint that was checked.
func appendMessage(b []byte, m *Metadata) ([]byte, error) {
	message := &checkpointv1.Metadata{
		Kind:           checkpointv1.Kind(m.Kind),
		Mode:           checkpointv1.Mode_MODE_EXACTLY_ONCE,
		Job:            m.Job[:],
		JobName:        m.JobName,
		Checkpoint:     uint64(m.ID),
		Attempt:        uint32(m.Attempt),
		TriggeredMs:    m.Triggered.UnixMilli(),
		AcknowledgedMs: m.Acknowledged.UnixMilli(),
		Final:          m.Final,
		Fingerprint:    m.Fingerprint[:],
	}
	if m.Mode == checkpoint.AtLeastOnce {
		message.Mode = checkpointv1.Mode_MODE_AT_LEAST_ONCE
	}
	for i := range m.Vertices {
		message.Vertices = append(message.Vertices, vertexToProto(&m.Vertices[i]))
	}
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, message)
}

func vertexToProto(v *Vertex) *checkpointv1.Vertex {
	m := &checkpointv1.Vertex{Operators: v.Operators, Tasks: make([]*checkpointv1.Task, len(v.Tasks))}
	for i := range v.Tasks {
		t := &v.Tasks[i]
		m.Tasks[i] = &checkpointv1.Task{
			Snapshot: &checkpointv1.Snapshot{
				Name: t.Snapshot.Name, Size: uint64(t.Snapshot.Size), Digest: t.Snapshot.Digest[:], Inline: t.Snapshot.Inline,
			},
			Figures: &checkpointv1.Figures{
				StateSize: uint64(t.StateSize), StoredSize: uint64(t.StoredSize),
				StartDelayNs: uint64(t.StartDelay), AlignmentNs: uint64(t.Alignment), SyncNs: uint64(t.Sync), AsyncNs: uint64(t.Async),
			},
		}
	}
	if v.Source != nil {
		m.Source = &checkpointv1.Source{}
		for _, s := range v.Source.Splits {
			m.Source.Splits = append(m.Source.Splits, &checkpointv1.Split{Id: s.ID, Data: s.Data})
		}
	}
	return m
}

// The fields that [countElements] counts or looks into.
const (
	fieldVertices  = 11
	fieldOperators = 1
	fieldTasks     = 2
	fieldSource    = 3
	fieldSplits    = 1
)

// parseMessage reads a message whose elements are few enough for memory. What it
// returns is not checked yet.
func parseMessage(b []byte) (*Metadata, error) {
	elements, err := countElements(b, func(field protowire.Number) nested {
		if field != fieldVertices {
			return nested{}
		}
		return nested{counts: true, inside: func(field protowire.Number) nested {
			switch field {
			case fieldOperators, fieldTasks:
				return nested{counts: true}
			case fieldSource:
				return nested{inside: func(field protowire.Number) nested { return nested{counts: field == fieldSplits} }}
			default:
				return nested{}
			}
		}}
	})
	if err != nil {
		return nil, err
	}
	if elements > MaxElements {
		return nil, fmt.Errorf("it has %d vertices, operators, tasks and splits: at most %d are possible", elements, MaxElements)
	}
	message := &checkpointv1.Metadata{}
	if err := proto.Unmarshal(b, message); err != nil {
		return nil, err
	}
	if name := unknownIn(message.ProtoReflect()); name != "" {
		return nil, fmt.Errorf("a %s has a field that version %d does not have", name, Version)
	}
	return fromProto(message)
}

// nested says of a field whether it counts as an element, and which fields are in
// it.
type nested struct {
	counts bool
	inside func(protowire.Number) nested
}

// countElements counts without allocating what would be allocated.
func countElements(b []byte, of func(protowire.Number) nested) (n int, err error) {
	for len(b) > 0 {
		field, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return 0, protowire.ParseError(tag)
		}
		b = b[tag:]
		length := protowire.ConsumeFieldValue(field, kind, b)
		if length < 0 {
			return 0, protowire.ParseError(length)
		}
		what := of(field)
		if what.counts {
			n++
		}
		if what.inside != nil && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			inner, err := countElements(value, what.inside)
			if err != nil {
				return 0, err
			}
			n += inner
		}
		b = b[length:]
	}
	return n, nil
}

// unknownIn returns the name of a message in m that has an unknown field, or "".
func unknownIn(m protoreflect.Message) (name protoreflect.Name) {
	if len(m.GetUnknown()) > 0 {
		return m.Descriptor().Name()
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := 0; i < value.List().Len() && name == ""; i++ {
				name = unknownIn(value.List().Get(i).Message())
			}
		default:
			name = unknownIn(value.Message())
		}
		return name == ""
	})
	return name
}

func fromProto(message *checkpointv1.Metadata) (*Metadata, error) {
	m := &Metadata{
		JobName:      message.GetJobName(),
		ID:           checkpoint.ID(message.GetCheckpoint()),
		Attempt:      ids.Attempt(message.GetAttempt()),
		Triggered:    time.UnixMilli(message.GetTriggeredMs()).UTC(),
		Acknowledged: time.UnixMilli(message.GetAcknowledgedMs()).UTC(),
		Final:        message.GetFinal(),
	}
	switch kind := message.GetKind(); kind {
	case checkpointv1.Kind_KIND_CHECKPOINT:
		m.Kind = Checkpoint
	case checkpointv1.Kind_KIND_SAVEPOINT:
		m.Kind = Savepoint
	default:
		return nil, fmt.Errorf("it is of unknown kind %d", kind)
	}
	switch mode := message.GetMode(); mode {
	case checkpointv1.Mode_MODE_EXACTLY_ONCE:
		m.Mode = checkpoint.ExactlyOnce
	case checkpointv1.Mode_MODE_AT_LEAST_ONCE:
		m.Mode = checkpoint.AtLeastOnce
	default:
		return nil, fmt.Errorf("it is of unknown mode %d", mode)
	}
	if err := fixed(m.Job[:], message.GetJob(), "job id"); err != nil {
		return nil, err
	}
	if err := fixed(m.Fingerprint[:], message.GetFingerprint(), "fingerprint"); err != nil {
		return nil, err
	}
	for i, v := range message.GetVertices() {
		vertex, err := vertexFromProto(v)
		if err != nil {
			return nil, fmt.Errorf("vertex %d: %w", i, err)
		}
		m.Vertices = append(m.Vertices, vertex)
	}
	return m, nil
}

func vertexFromProto(m *checkpointv1.Vertex) (Vertex, error) {
	v := Vertex{Operators: m.GetOperators(), Tasks: make([]Task, len(m.GetTasks()))}
	for i, t := range m.GetTasks() {
		if err := taskFromProto(&v.Tasks[i], t); err != nil {
			return Vertex{}, fmt.Errorf("subtask %d: %w", i, err)
		}
	}
	if m.GetSource() != nil {
		v.Source = &Source{}
		for _, s := range m.GetSource().GetSplits() {
			v.Source.Splits = append(v.Source.Splits, Split{ID: s.GetId(), Data: s.GetData()})
		}
	}
	return v, nil
}

func taskFromProto(t *Task, m *checkpointv1.Task) error {
	s, f := m.GetSnapshot(), m.GetFigures()
	t.Snapshot.Name, t.Snapshot.Inline = s.GetName(), s.GetInline()
	if err := fixed(t.Snapshot.Digest[:], s.GetDigest(), "digest"); err != nil {
		return err
	}
	for _, n := range []uint64{s.GetSize(), f.GetStateSize(), f.GetStoredSize(), f.GetStartDelayNs(), f.GetAlignmentNs(), f.GetSyncNs(), f.GetAsyncNs()} {
		if n > math.MaxInt64 {
			return fmt.Errorf("a size or a time is %d: at most %d is possible", n, int64(math.MaxInt64))
		}
	}
	t.Snapshot.Size = int64(s.GetSize())
	t.Figures = checkpoint.Figures{
		StateSize: int64(f.GetStateSize()), StoredSize: int64(f.GetStoredSize()),
		StartDelay: time.Duration(f.GetStartDelayNs()), Alignment: time.Duration(f.GetAlignmentNs()),
		Sync: time.Duration(f.GetSyncNs()), Async: time.Duration(f.GetAsyncNs()),
	}
	return nil
}

// fixed copies a field that has a length of its own.
func fixed(to, from []byte, what string) error {
	if len(from) != len(to) {
		return fmt.Errorf("a %s of %d bytes: want %d", what, len(from), len(to))
	}
	copy(to, from)
	return nil
}
