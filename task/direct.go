package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
)

// Direct runs the operators of a graph in the goroutine of its caller, one subtask
// of each, without a network between them, and in a time that the caller sets. It
// is how a test drives operators: what it calls has happened when the call
// returns. Records of the sources come from the caller too; see [DirectSource].
//
// It is not safe for concurrent use.
type Direct struct {
	ctx    *Context
	cancel context.CancelFunc
	now    int64
	// sources are the outputs of the sources, and sinks what stands in their places,
	// by their names.
	sources map[string]Outputs
	sinks   map[string]any
}

// directChunk is how many postponed results are made at a time: few, so that a
// test with a handful of keys sees an operator go on where it stopped.
const directChunk = 3

// NewDirect builds the operators of a graph; the processing time is now, in ms
// since the epoch. Close it.
func NewDirect(graph *dataflow.Graph, now int64, log *slog.Logger) (*Direct, error) {
	if m := graph.Layout().Plan.Mistakes; len(m) > 0 {
		return nil, fmt.Errorf("the job is built wrongly:%s", dataflow.MistakeLines(m))
	}
	done, cancel := context.WithCancel(context.Background())
	d := &Direct{cancel: cancel, now: now, sources: map[string]Outputs{}, sinks: map[string]any{}}
	d.ctx = &Context{
		Done: done, Name: graph.JobName + " (1/1)", Parallelism: 1, Log: log,
		FlushInterval: 100 * time.Millisecond, WatermarkInterval: 200 * time.Millisecond,
		figures: newFigures(), wall: func() int64 { return d.now },
	}
	d.ctx.clock.start = time.Now()
	if err := d.build(graph.Nodes()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// build builds the nodes from the last to the first, so that what takes an
// operator's output is there before it.
func (d *Direct) build(nodes []*dataflow.Node) error {
	inputs := make([]map[*dataflow.Input]any, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		out, err := d.outputs(n, nodes, inputs)
		if err != nil {
			return err
		}
		if n.Source {
			if _, ok := d.sources[n.Name]; ok {
				return fmt.Errorf("%s: two sources have the name %q: a test tells them apart by it", n.Position, n.Name)
			}
			d.sources[n.Name] = out
			continue
		}
		in, err := d.operator(n, out)
		if err != nil {
			return fmt.Errorf("%s %q: %w", n.Kind, n.Name, err)
		}
		inputs[i] = d.inputs(n, in)
	}
	return nil
}

// operator builds a node. A sink is not opened: its records are kept.
func (d *Direct) operator(n *dataflow.Node, out Outputs) (Inputs, error) {
	sink, ok := n.Code.(interface{ recorded() any })
	if !ok {
		return n.Code.(Operator).Build(d.ctx, out)
	}
	if _, ok := d.sinks[n.Name]; ok {
		return nil, errors.New("there are two of that name: a test tells them apart by it")
	}
	d.sinks[n.Name] = sink.recorded()
	return Inputs{d.sinks[n.Name]}, nil
}

// outputs joins what takes the outputs of n, which is built.
func (d *Direct) outputs(n *dataflow.Node, nodes []*dataflow.Node, inputs []map[*dataflow.Input]any) (Outputs, error) {
	return outputsOf(n, func(port int) (receivers []any, err error) {
		for _, m := range nodes[n.Index+1:] {
			for _, in := range m.Inputs {
				if in.From == n && in.Port == port {
					receivers = append(receivers, inputs[m.Index][in])
				}
			}
		}
		return receivers, nil
	})
}

// inputs returns the receiver of each edge into n. Where there are several, a valve
// computes the watermark, as it does between tasks.
func (d *Direct) inputs(n *dataflow.Node, in Inputs) map[*dataflow.Input]any {
	receivers := map[*dataflow.Input]any{}
	if len(n.Inputs) == 1 {
		receivers[n.Inputs[0]] = in[0]
		return receivers
	}
	m := newMeeting(d.ctx, len(n.Inputs), in[0].(signals))
	for i, edge := range n.Inputs {
		receivers[edge] = edge.Code.(Exchange).Direct(in[edge.Ordinal], meetingInput{m, i})
	}
	return receivers
}

// DirectSource returns what takes the records of a source, by its name. After each
// call on it call [Direct.Settle].
func DirectSource[T any](d *Direct, name string) (Receiver[T], error) {
	out, ok := d.sources[name]
	if !ok {
		return nil, fmt.Errorf("the job has no source %q", name)
	}
	if len(out.ports) == 0 || out.ports[0] == nil {
		return dropped[T]{}, nil
	}
	r, ok := out.ports[0].(Receiver[T])
	if !ok {
		return nil, fmt.Errorf("source %q has records of another type than %v", name, reflect.TypeFor[T]())
	}
	return r, nil
}

// Recorded is what came to a sink.
type Recorded[T any] struct {
	Values []T
	// Times are the event times of the values, in ms since the epoch, or [NoTime].
	Times []int64
	// Reached is the last watermark.
	Reached int64
	// Ended tells that nothing will follow.
	Ended bool
}

// DirectSink returns what comes to a sink, by its name.
func DirectSink[T any](d *Direct, name string) (*Recorded[T], error) {
	sink, ok := d.sinks[name]
	if !ok {
		return nil, fmt.Errorf("the job has no sink %q", name)
	}
	r, ok := sink.(*Recorded[T])
	if !ok {
		return nil, fmt.Errorf("sink %q takes records of another type than %v", name, reflect.TypeFor[T]())
	}
	return r, nil
}

// Push implements [Receiver].
func (r *Recorded[T]) Push(values []T, times []int64) error {
	r.Values = append(r.Values, values...)
	r.Times = append(r.Times, times...)
	return nil
}

// Watermark implements [Receiver].
func (r *Recorded[T]) Watermark(t int64) error {
	r.Reached = t
	return nil
}

// Idle implements [Receiver].
func (r *Recorded[T]) Idle() error { return nil }

// End implements [Receiver].
func (r *Recorded[T]) End() error {
	r.Ended = true
	return nil
}

// Now returns the processing time in ms since the epoch.
func (d *Direct) Now() int64 { return d.now }

// Settle lets operators make all results that they have postponed, calls the alarms
// that are due, and has sinks write what they hold.
func (d *Direct) Settle() error {
	for {
		if err := d.resume(); err != nil {
			return err
		}
		if _, err := d.ctx.ring(); err != nil {
			return err
		}
		if len(d.ctx.postponed) > 0 {
			continue
		}
		for _, flush := range d.ctx.flushers {
			if err := flush(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (d *Direct) resume() error {
	for len(d.ctx.postponed) > 0 {
		if _, err := d.ctx.resume(directChunk); err != nil {
			return err
		}
	}
	return nil
}

// AdvanceTo moves the processing time to t, in ms since the epoch, stopping at each
// alarm on the way. A time that has passed changes nothing.
func (d *Direct) AdvanceTo(t int64) error {
	for len(d.ctx.alarms.heap) > 0 && d.ctx.alarms.heap[0].t <= t {
		d.now = max(d.now, d.ctx.alarms.heap[0].t)
		if err := d.Settle(); err != nil {
			return err
		}
	}
	d.now = max(d.now, t)
	return d.Settle()
}

// Close ends the operators, as the end of a task does.
func (d *Direct) Close() (err error) {
	d.cancel()
	for i := len(d.ctx.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, d.ctx.closers[i]())
	}
	d.ctx.closers = nil
	return err
}

// meetingInput is one of the edges that meet before an operator.
type meetingInput struct {
	*meeting
	index int
}

func (m meetingInput) Watermark(t int64) error { return m.raise(m.index, t) }
func (m meetingInput) Idle() error             { return m.rest(m.index) }

func (m meetingInput) End() error {
	if m.valve.end() {
		return m.ctx.afterResults(m.to.End)
	}
	return nil
}

// redirected hands records to an operator and signals to the meeting before it.
type redirected[T any] struct {
	passing
	next Receiver[T]
}

func (r redirected[T]) Push(values []T, times []int64) error {
	if in, ok := r.to.(meetingInput); ok {
		// Records end the idleness of their edge.
		if err := in.Watermark(NoTime); err != nil {
			return err
		}
	}
	return r.next.Push(values, times)
}

// direct returns what takes the records of an edge within one goroutine.
func (r Records[T]) direct(next any, to signals) any {
	return redirected[T]{passing{to}, next.(Receiver[T])}
}
