package dataflow

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// The most of each that a plan may have. A plan comes from a process that runs
// foreign code, so its size is bounded before anything is built from it; no
// program that a person wrote comes near.
const (
	maxVertices       = 4_096
	maxOperators      = 65_536
	maxExchanges      = 16_384
	maxEntries        = 100_000 // settings, recorded values, warnings, mistakes: of each
	maxStringLength   = 64 << 10
	maxRecordedLength = 16 << 20 // of all recorded values together
)

// ToProto returns the plan as a message that shares no memory with it except
// the recorded values. Durations that the message cannot express are rounded up
// to a whole millisecond.
func ToProto(p *Plan) *planv1.Plan {
	m := &planv1.Plan{
		FormatVersion: PlanFormat,
		JobName:       p.JobName,
		Settings:      maps.Clone(p.Settings),
		Fingerprint:   slices.Clone(p.Fingerprint[:]),
		Recorded:      maps.Clone(p.Recorded),
		Warnings:      slices.Clone(p.Warnings),
		Mistakes:      slices.Clone(p.Mistakes),
	}
	for i := range p.Vertices {
		m.Vertices = append(m.Vertices, vertexToProto(&p.Vertices[i]))
	}
	for i := range p.Exchanges {
		m.Exchanges = append(m.Exchanges, exchangeToProto(&p.Exchanges[i]))
	}
	return m
}

func vertexToProto(v *Vertex) *planv1.Vertex {
	m := &planv1.Vertex{
		Id:               v.ID,
		Name:             v.Name,
		Parallelism:      uint32(max(0, v.Parallelism)),
		Source:           v.Source,
		Bounded:          v.Bounded,
		SlotSharingGroup: v.SlotSharingGroup,
	}
	for i := range v.Operators {
		o := &v.Operators[i]
		m.Operators = append(m.Operators, &planv1.Operator{
			Id: o.ID, Name: o.Name, Kind: o.Kind, OutputType: o.OutputType,
			Position: o.Position, Stateful: o.Stateful, Predecessor: uint32(o.Predecessor), Side: o.Side,
		})
	}
	return m
}

func exchangeToProto(e *Exchange) *planv1.Exchange {
	m := &planv1.Exchange{
		From:          uint32(e.From),
		FromOperator:  uint32(e.FromOperator),
		Side:          e.Side,
		To:            uint32(e.To),
		Ordinal:       uint32(e.Ordinal),
		Strict:        e.Strict,
		Partitioning:  partitioningToProto[e.Partitioning],
		RecordType:    e.RecordType,
		KeyType:       e.KeyType,
		PreAggregated: e.PreAggregated,
	}
	if e.BufferTimeout != nil {
		ms := int64(-1)
		if d := *e.BufferTimeout; d >= 0 {
			ms = int64(d / time.Millisecond)
			if d%time.Millisecond != 0 {
				ms++
			}
		}
		m.BufferTimeoutMs = &ms
	}
	return m
}

var partitioningToProto = map[Partitioning]planv1.Partitioning{
	Forward:   planv1.Partitioning_PARTITIONING_FORWARD,
	Hash:      planv1.Partitioning_PARTITIONING_HASH,
	Rebalance: planv1.Partitioning_PARTITIONING_REBALANCE,
	Rescale:   planv1.Partitioning_PARTITIONING_RESCALE,
	Shuffle:   planv1.Partitioning_PARTITIONING_SHUFFLE,
	Broadcast: planv1.Partitioning_PARTITIONING_BROADCAST,
	Global:    planv1.Partitioning_PARTITIONING_GLOBAL,
	Custom:    planv1.Partitioning_PARTITIONING_CUSTOM,
}

// FromProto returns the plan that a message describes. It checks everything
// that its readers rely on: bounded sizes, indices within range, topological
// order, known partitionings, parallelisms of at most [MaxParallelism], unique
// operator ids, and that a vertex has inputs exactly if it is no source. The
// error says what is wrong and where; it is the message that is wrong then,
// not the user's program.
//
// A plan with mistakes is never run, so only what its reader needs is kept of
// it: name, warnings and mistakes. The slot sharing group "default" becomes
// the empty one, which means the same.
func FromProto(m *planv1.Plan) (*Plan, error) {
	if m == nil {
		return nil, errors.New("plan: it is missing")
	}
	if v := m.GetFormatVersion(); v != PlanFormat {
		return nil, fmt.Errorf("plan: format version %d: this build reads version %d; "+
			"build the job with the engine's version that the cluster runs, or upgrade the cluster", v, PlanFormat)
	}
	if err := checkSizes(m); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p := &Plan{
		JobName:  m.GetJobName(),
		Warnings: slices.Clone(m.GetWarnings()),
		Mistakes: slices.Clone(m.GetMistakes()),
	}
	if len(p.Mistakes) > 0 {
		return p, nil
	}
	p.Settings = maps.Clone(m.GetSettings())
	p.Recorded = maps.Clone(m.GetRecorded())
	if n := copy(p.Fingerprint[:], m.GetFingerprint()); n != len(p.Fingerprint) || n != len(m.GetFingerprint()) {
		return nil, fmt.Errorf("plan: fingerprint of %d bytes: want %d", len(m.GetFingerprint()), len(p.Fingerprint))
	}
	for _, v := range m.GetVertices() {
		p.Vertices = append(p.Vertices, vertexFromProto(v))
	}
	for i, e := range m.GetExchanges() {
		exchange, err := exchangeFromProto(e, len(p.Vertices))
		if err != nil {
			return nil, fmt.Errorf("plan: exchange %d: %w", i, err)
		}
		p.Exchanges = append(p.Exchanges, exchange)
	}
	if err := p.checkVertices(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

func vertexFromProto(m *planv1.Vertex) Vertex {
	v := Vertex{
		ID:               m.GetId(),
		Name:             m.GetName(),
		Parallelism:      int(m.GetParallelism()),
		Source:           m.GetSource(),
		Bounded:          m.GetBounded(),
		SlotSharingGroup: m.GetSlotSharingGroup(),
	}
	if v.SlotSharingGroup == "default" {
		v.SlotSharingGroup = ""
	}
	for _, o := range m.GetOperators() {
		v.Operators = append(v.Operators, Operator{
			ID: o.GetId(), Name: o.GetName(), Kind: o.GetKind(), OutputType: o.GetOutputType(),
			Position: o.GetPosition(), Stateful: o.GetStateful(), Predecessor: int(o.GetPredecessor()), Side: o.GetSide(),
		})
	}
	return v
}

func exchangeFromProto(m *planv1.Exchange, vertices int) (Exchange, error) {
	e := Exchange{
		From:          int(m.GetFrom()),
		FromOperator:  int(m.GetFromOperator()),
		Side:          m.GetSide(),
		To:            int(m.GetTo()),
		Ordinal:       int(m.GetOrdinal()),
		Strict:        m.GetStrict(),
		RecordType:    m.GetRecordType(),
		KeyType:       m.GetKeyType(),
		PreAggregated: m.GetPreAggregated(),
	}
	if e.To >= vertices {
		return e, fmt.Errorf("it leads to vertex %d of %d", e.To, vertices)
	}
	if e.From >= e.To { // With the check above this bounds From, too.
		return e, fmt.Errorf("it leads from vertex %d to vertex %d: vertices must be in topological order", e.From, e.To)
	}
	if e.Ordinal > 1 {
		return e, fmt.Errorf("it leads to input %d of an operator: there are two at most", e.Ordinal)
	}
	for ours, theirs := range partitioningToProto {
		if theirs == m.GetPartitioning() {
			e.Partitioning = ours
		}
	}
	if e.Partitioning == 0 {
		return e, fmt.Errorf("unknown partitioning %d", m.GetPartitioning())
	}
	if m.BufferTimeoutMs != nil {
		ms := m.GetBufferTimeoutMs()
		if ms < -1 || ms > math.MaxInt64/int64(time.Millisecond) {
			return e, fmt.Errorf("buffer timeout of %d ms: want -1, 0 or a time of less than 292 years", ms)
		}
		timeout := NoTimeout
		if ms >= 0 {
			timeout = time.Duration(ms) * time.Millisecond
		}
		e.BufferTimeout = &timeout
	}
	return e, nil
}

// checkVertices checks the vertices of a plan whose exchanges are right.
func (p *Plan) checkVertices() error {
	if p.JobName == "" {
		return errors.New("the job has no name")
	}
	if len(p.Vertices) == 0 {
		return errors.New("the job has no operators")
	}
	inputs := make([]int, len(p.Vertices))
	for _, e := range p.Exchanges {
		inputs[e.To]++
	}
	seen := map[string]bool{}
	for i, v := range p.Vertices {
		if err := v.check(inputs[i], seen); err != nil {
			return fmt.Errorf("vertex %d (%q): %w", i, v.Name, err)
		}
	}
	for i, e := range p.Exchanges {
		if operators := len(p.Vertices[e.From].Operators); e.FromOperator >= operators {
			return fmt.Errorf("exchange %d leads from operator %d of %d of vertex %d", i, e.FromOperator, operators, e.From)
		}
	}
	return nil
}

// check checks a vertex with so many inputs; seen are the operator ids so far.
func (v *Vertex) check(inputs int, seen map[string]bool) error {
	switch {
	case v.Name == "":
		return errors.New("it has no name")
	case v.Parallelism > MaxParallelism:
		return fmt.Errorf("parallelism %d: at most %d is possible", v.Parallelism, MaxParallelism)
	case len(v.Operators) == 0:
		return errors.New("it has no operators")
	case v.ID != v.Operators[0].ID:
		return fmt.Errorf("its id %q is not that of its first operator, %q", v.ID, v.Operators[0].ID)
	case v.Source && inputs > 0:
		return fmt.Errorf("it is a source and has %d inputs", inputs)
	case !v.Source && inputs == 0:
		return errors.New("it is no source and has no inputs")
	}
	for i, o := range v.Operators {
		if i > 0 && o.Predecessor >= i {
			return fmt.Errorf("operator %q (%s), %d of the chain, takes its input from operator %d: want an earlier one", o.Name, o.Position, i, o.Predecessor)
		}
		if o.ID == "" {
			return fmt.Errorf("operator %q (%s) has no id", o.Name, o.Position)
		}
		if seen[o.ID] {
			return fmt.Errorf("operator %q (%s) has the id %q, which another one has, too", o.Name, o.Position, o.ID)
		}
		seen[o.ID] = true
	}
	return nil
}

// checkSizes bounds every list and string of a message.
func checkSizes(m *planv1.Plan) error {
	operators := 0
	for _, v := range m.GetVertices() {
		operators += len(v.GetOperators())
	}
	for _, list := range []struct {
		what      string
		have, max int
	}{
		{"vertices", len(m.GetVertices()), maxVertices},
		{"operators", operators, maxOperators},
		{"exchanges", len(m.GetExchanges()), maxExchanges},
		{"settings", len(m.GetSettings()), maxEntries},
		{"recorded values", len(m.GetRecorded()), maxEntries},
		{"warnings", len(m.GetWarnings()), maxEntries},
		{"mistakes", len(m.GetMistakes()), maxEntries},
	} {
		if list.have > list.max {
			return fmt.Errorf("%d %s: at most %d are possible", list.have, list.what, list.max)
		}
	}
	recorded := 0
	for _, value := range m.GetRecorded() {
		recorded += len(value)
	}
	if recorded > maxRecordedLength {
		return fmt.Errorf("values recorded by weir.Once of together %d bytes: at most %d are possible", recorded, maxRecordedLength)
	}
	for s := range stringsOf(m) {
		if len(s) > maxStringLength {
			return fmt.Errorf("a text of %d bytes (%q…): at most %d are possible", len(s), s[:40], maxStringLength)
		}
	}
	return nil
}

// stringsOf yields every string of a message.
func stringsOf(m *planv1.Plan) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		all := func(list ...string) bool {
			for _, s := range list {
				if !yield(s) {
					return false
				}
			}
			return true
		}
		for _, v := range m.GetVertices() {
			if !all(v.GetId(), v.GetName(), v.GetSlotSharingGroup()) {
				return
			}
			for _, o := range v.GetOperators() {
				if !all(o.GetId(), o.GetName(), o.GetKind(), o.GetOutputType(), o.GetPosition(), o.GetSide()) {
					return
				}
			}
		}
		for _, e := range m.GetExchanges() {
			if !all(e.GetRecordType(), e.GetKeyType(), e.GetSide()) {
				return
			}
		}
		for key, value := range m.GetSettings() {
			if !all(key, value) {
				return
			}
		}
		for name := range m.GetRecorded() {
			if !all(name) {
				return
			}
		}
		_ = all(m.GetJobName()) && all(m.GetWarnings()...) && all(m.GetMistakes()...)
	}
}
