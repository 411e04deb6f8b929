package dataflow_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/dataflow"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// samplePlan has every field of every kind set to something.
func samplePlan() *dataflow.Plan {
	timeouts := []time.Duration{dataflow.NoTimeout, 0, 100 * time.Millisecond}
	return &dataflow.Plan{
		JobName: "late departures",
		Vertices: []dataflow.Vertex{
			{
				ID: "flights", Name: "Source: flights -> Filter", Parallelism: 4, Source: true, Bounded: true,
				Operators: []dataflow.Operator{
					{ID: "flights", Name: "flights", Kind: "source", OutputType: "main.Flight", Position: "late/main.go:12"},
					{ID: "filter", Name: "Filter", Kind: "filter", OutputType: "main.Flight", Position: "late/main.go:13"},
					{ID: "count", Name: "Count", Kind: "process", OutputType: "int", Position: "late/main.go:14", Predecessor: 1, Side: "late"},
				},
			},
			{
				ID: "window", Name: "window", SlotSharingGroup: "heavy",
				Operators: []dataflow.Operator{{ID: "window", Name: "window", Kind: "window aggregate", OutputType: "main.Delay", Stateful: true}},
			},
			{
				ID: "sink", Name: "Sink: stdout", Parallelism: dataflow.MaxParallelism,
				Operators: []dataflow.Operator{{ID: "sink", Name: "stdout", Kind: "sink"}},
			},
		},
		Exchanges: []dataflow.Exchange{
			{From: 0, To: 1, Partitioning: dataflow.Hash, RecordType: "main.Flight", KeyType: "string", BufferTimeout: &timeouts[0], PreAggregated: true},
			{From: 1, To: 2, Ordinal: 1, Partitioning: dataflow.Broadcast, RecordType: "main.Delay", BufferTimeout: &timeouts[1]},
			{From: 0, FromOperator: 2, Side: "early", To: 2, Partitioning: dataflow.Forward, Strict: true, RecordType: "main.Flight", BufferTimeout: &timeouts[2]},
		},
		Settings:    map[string]string{"parallelism.default": "3"},
		Fingerprint: [32]byte{1, 2, 3, 31: 9},
		Recorded:    map[string][]byte{"start": {1, 2}},
		Warnings:    []string{"operator without an id"},
	}
}

func TestPlanSurvivesTheWire(t *testing.T) {
	want := samplePlan()
	raw, err := proto.Marshal(dataflow.ToProto(want))
	if err != nil {
		t.Fatal(err)
	}
	m := &planv1.Plan{}
	if err := proto.Unmarshal(raw, m); err != nil {
		t.Fatal(err)
	}
	got, err := dataflow.FromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestSampleSetsEveryField guards the test above: a field that is added to the
// plan and forgotten in the adapter must not pass unseen because it is zero.
func TestSampleSetsEveryField(t *testing.T) {
	p := *samplePlan()
	p.Mistakes = []string{"not carried by a plan that runs"}
	var set func(path string, values []reflect.Value)
	set = func(path string, values []reflect.Value) {
		typ := values[0].Type()
		for i := range typ.NumField() {
			name := path + "." + typ.Field(i).Name
			var nonZero bool
			var elements []reflect.Value
			for _, v := range values {
				f := v.Field(i)
				nonZero = nonZero || !f.IsZero()
				if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
					for j := range f.Len() {
						elements = append(elements, f.Index(j))
					}
				}
			}
			if !nonZero {
				t.Errorf("the sample never sets %s", name)
			}
			if len(elements) > 0 {
				set(name, elements)
			}
		}
	}
	set("Plan", []reflect.Value{reflect.ValueOf(p)})
}

func TestMistakesSurviveWhateverElseIsWrong(t *testing.T) {
	p := samplePlan()
	p.Mistakes = []string{"main.go:3: parallelism -1", "main.go:9: nothing consumes it"}
	p.Vertices[0].Parallelism = -1
	p.Exchanges[0].From = 7
	got, err := dataflow.FromProto(dataflow.ToProto(p))
	if err != nil {
		t.Fatal(err)
	}
	want := &dataflow.Plan{JobName: p.JobName, Warnings: p.Warnings, Mistakes: p.Mistakes}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFractionsOfAMillisecondAreNotDropped(t *testing.T) {
	p := samplePlan()
	*p.Exchanges[2].BufferTimeout = 1500 * time.Microsecond
	m := dataflow.ToProto(p)
	if got := m.Exchanges[2].GetBufferTimeoutMs(); got != 2 {
		t.Errorf("1.5 ms became %d ms, want 2", got)
	}
}

func TestFromProtoRefuses(t *testing.T) {
	long := strings.Repeat("x", 64<<10+1)
	tests := []struct {
		name   string
		change func(m *planv1.Plan)
		want   string
	}{
		{"version", func(m *planv1.Plan) { m.FormatVersion = 2 }, "format version 2"},
		{"no version", func(m *planv1.Plan) { m.FormatVersion = 0 }, "format version 0"},
		{"short fingerprint", func(m *planv1.Plan) { m.Fingerprint = m.Fingerprint[:31] }, "fingerprint of 31 bytes"},
		{"long fingerprint", func(m *planv1.Plan) { m.Fingerprint = append(m.Fingerprint, 0) }, "fingerprint of 33 bytes"},
		{"no name", func(m *planv1.Plan) { m.JobName = "" }, "no name"},
		{"no vertices", func(m *planv1.Plan) { m.Vertices, m.Exchanges = nil, nil }, "no operators"},
		{"unnamed vertex", func(m *planv1.Plan) { m.Vertices[1].Name = "" }, "vertex 1"},
		{"empty vertex", func(m *planv1.Plan) { m.Vertices[1].Operators = nil }, "no operators"},
		{"wrong id", func(m *planv1.Plan) { m.Vertices[1].Id = "other" }, `its id "other"`},
		{"no operator id", func(m *planv1.Plan) { m.Vertices[0].Operators[1].Id = "" }, "has no id"},
		{"id twice", func(m *planv1.Plan) { m.Vertices[0].Operators[1].Id = "window" }, `"window"`},
		{"parallelism", func(m *planv1.Plan) { m.Vertices[0].Parallelism = 65537 }, "parallelism 65537"},
		{"huge parallelism", func(m *planv1.Plan) { m.Vertices[0].Parallelism = 1<<32 - 1 }, "parallelism 4294967295"},
		{"source with input", func(m *planv1.Plan) { m.Vertices[1].Source = true }, "is a source and has 1 inputs"},
		{"no input", func(m *planv1.Plan) { m.Vertices[0].Source = false }, "no source and has no inputs"},
		{"to out of range", func(m *planv1.Plan) { m.Exchanges[0].To = 3 }, "vertex 3 of 3"},
		{"from out of range", func(m *planv1.Plan) { m.Exchanges[0].From = 1 << 31 }, "topological order"},
		{"back edge", func(m *planv1.Plan) { m.Exchanges[1].From, m.Exchanges[1].To = 2, 1 }, "topological order"},
		{"self edge", func(m *planv1.Plan) { m.Exchanges[1].From = 2 }, "topological order"},
		{"partitioning", func(m *planv1.Plan) { m.Exchanges[0].Partitioning = 9 }, "unknown partitioning 9"},
		{"no partitioning", func(m *planv1.Plan) { m.Exchanges[0].Partitioning = 0 }, "unknown partitioning 0"},
		{"buffer timeout", func(m *planv1.Plan) { m.Exchanges[0].BufferTimeoutMs = proto.Int64(-2) }, "buffer timeout of -2 ms"},
		{"long buffer timeout", func(m *planv1.Plan) { m.Exchanges[0].BufferTimeoutMs = proto.Int64(1 << 62) }, "buffer timeout"},
		{"long string", func(m *planv1.Plan) { m.Vertices[0].Operators[0].Position = long }, "65537 bytes"},
		{"long setting", func(m *planv1.Plan) { m.Settings["k"] = long }, "65537 bytes"},
		{"recorded", func(m *planv1.Plan) { m.Recorded["big"] = make([]byte, 17<<20) }, "weir.Once"},
		{"many vertices", func(m *planv1.Plan) { m.Vertices = make([]*planv1.Vertex, 4_097) }, "4097 vertices"},
		{"many operators", func(m *planv1.Plan) { m.Vertices[0].Operators = make([]*planv1.Operator, 65_536) }, "65538 operators"},
		{"operator that leads nowhere", func(m *planv1.Plan) { m.Exchanges[0].FromOperator = 3 }, "operator 3 of 3 of vertex 0"},
		{"third input", func(m *planv1.Plan) { m.Exchanges[0].Ordinal = 2 }, "input 2 of an operator"},
		{"later predecessor", func(m *planv1.Plan) { m.Vertices[0].Operators[1].Predecessor = 1 }, "takes its input from operator 1"},
		{"many exchanges", func(m *planv1.Plan) { m.Exchanges = make([]*planv1.Exchange, 16_385) }, "16385 exchanges"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := dataflow.ToProto(samplePlan())
			test.change(m)
			p, err := dataflow.FromProto(m)
			if err == nil {
				t.Fatalf("accepted: %+v", p)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
	if _, err := dataflow.FromProto(nil); err == nil {
		t.Error("accepted no message")
	}
}

func TestDefaultSlotSharingGroupHasOneName(t *testing.T) {
	m := dataflow.ToProto(samplePlan())
	m.Vertices[0].SlotSharingGroup = "default"
	p, err := dataflow.FromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	if g := p.Vertices[0].SlotSharingGroup; g != "" {
		t.Errorf("group %q, want the empty one", g)
	}
}

func TestDifferenceNamesTheOperator(t *testing.T) {
	tests := []struct {
		name   string
		change func(p *dataflow.Plan)
		want   []string
	}{
		{"nothing", func(*dataflow.Plan) {}, nil},
		{"not covered", func(p *dataflow.Plan) {
			p.Vertices[0].Parallelism = 9
			p.Settings = nil
			p.Recorded = nil
			p.Vertices[0].Operators[0].Position = "elsewhere.go:1"
			p.Exchanges[0].BufferTimeout = nil
		}, nil},
		{"job", func(p *dataflow.Plan) { p.JobName = "other" }, []string{`"late departures"`, `"other"`}},
		{"operator type", func(p *dataflow.Plan) { p.Vertices[0].Operators[1].OutputType = "main.Other" }, []string{`filter "Filter"`, "main.Flight", "main.Other", "late/main.go:13"}},
		{"operator more", func(p *dataflow.Plan) {
			p.Vertices[1].Operators = append(p.Vertices[1].Operators, dataflow.Operator{ID: "m", Name: "more", Kind: "map"})
		}, []string{`map "more"`, "is new", `"window"`}},
		{"operator fewer", func(p *dataflow.Plan) { p.Vertices[0].Operators = p.Vertices[0].Operators[:1] }, []string{`filter "Filter"`, "missing", "late/main.go:13"}},
		{"vertex more", func(p *dataflow.Plan) { p.Vertices = append(p.Vertices, dataflow.Vertex{Name: "extra"}) }, []string{`"extra"`, "is new"}},
		{"vertex fewer", func(p *dataflow.Plan) { p.Vertices = p.Vertices[:2] }, []string{`"Sink: stdout"`, "missing"}},
		{"bounded", func(p *dataflow.Plan) { p.Vertices[0].Bounded = false }, []string{"bounded: true", "bounded: false"}},
		{"group", func(p *dataflow.Plan) { p.Vertices[1].SlotSharingGroup = "" }, []string{`"heavy"`}},
		{"partitioning", func(p *dataflow.Plan) { p.Exchanges[0].Partitioning = dataflow.Rebalance }, []string{"HASH", "REBALANCE", `"window"`}},
		{"exchange fewer", func(p *dataflow.Plan) { p.Exchanges = p.Exchanges[:2] }, []string{"FORWARD", "missing"}},
		{"exchange more", func(p *dataflow.Plan) {
			p.Exchanges = append(p.Exchanges, dataflow.Exchange{From: 0, To: 1, Partitioning: dataflow.Rebalance})
		}, []string{"REBALANCE", "is new"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := samplePlan(), samplePlan()
			test.change(b)
			got := a.Difference(b)
			if (got == "") != (test.want == nil) {
				t.Fatalf("difference: %q", got)
			}
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q does not name %s", got, want)
				}
			}
		})
	}
}

// FuzzFromProto gives the adapter whatever parses as a message, and holds it to
// two promises: what it accepts is sound, and comes back unchanged.
func FuzzFromProto(f *testing.F) {
	seeds := []*dataflow.Plan{samplePlan(), {JobName: "wrong", Mistakes: []string{"a.go:1: wrong"}}}
	for _, p := range seeds {
		raw, err := proto.Marshal(dataflow.ToProto(p))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := &planv1.Plan{}
		if proto.Unmarshal(raw, m) != nil {
			return
		}
		p, err := dataflow.FromProto(m)
		if err != nil {
			return
		}
		if err := usable(p); err != nil {
			t.Fatalf("accepted a plan that cannot be used: %v\n%+v", err, p)
		}
		again, err := dataflow.FromProto(dataflow.ToProto(p))
		if err != nil {
			t.Fatalf("refused what it had accepted: %v", err)
		}
		if fmt.Sprintf("%+v", plain(again)) != fmt.Sprintf("%+v", plain(p)) {
			t.Fatalf("changed on the way:\n%+v\n%+v", p, again)
		}
		if d := p.Difference(again); d != "" {
			t.Fatalf("differs from itself: %s", d)
		}
	})
}

// plain returns a copy whose pointers do not show when it is printed.
func plain(p *dataflow.Plan) dataflow.Plan {
	q := *p
	q.Exchanges = append([]dataflow.Exchange(nil), p.Exchanges...)
	for i := range q.Exchanges {
		if t := q.Exchanges[i].BufferTimeout; t != nil {
			q.Exchanges[i].KeyType += t.String()
			q.Exchanges[i].BufferTimeout = nil
		}
	}
	return q
}

// usable walks a plan as its readers do; what it indexes must be there.
func usable(p *dataflow.Plan) error {
	if len(p.Mistakes) > 0 {
		return nil
	}
	// Whether two parallelisms are equal that must be depends on the default.
	loose := *p
	loose.Exchanges = slices.Clone(p.Exchanges)
	for x := range loose.Exchanges {
		loose.Exchanges[x].Strict = false
	}
	g, err := loose.Resolve(1)
	if err != nil {
		return err
	}
	if n := g.Slots(); n < 1 {
		return fmt.Errorf("%d slots", n)
	}
	for x, e := range p.Exchanges {
		g.Pattern(x)
		if e.From >= e.To {
			return fmt.Errorf("exchange %d leads from %d to %d", x, e.From, e.To)
		}
	}
	for v, vertex := range p.Vertices {
		if vertex.Source != (len(g.Inputs(v)) == 0) {
			return fmt.Errorf("vertex %d: source %t with %d inputs", v, vertex.Source, len(g.Inputs(v)))
		}
		g.Outputs(v)
		if g.TaskName(v, 0) == " (1/1)" {
			return fmt.Errorf("vertex %d has no name", v)
		}
	}
	return nil
}
