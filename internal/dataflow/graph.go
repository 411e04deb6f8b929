package dataflow

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Graph is a job's dataflow graph with its code: what the user's program
// builds. It is filled by one goroutine and not changed afterwards.
type Graph struct {
	JobName string
	// Settings made in code, by configuration key.
	Settings map[string]string
	// NoChaining puts every operator into a task of its own.
	NoChaining bool
	// Recorded are the values of weir.Once, by name.
	Recorded map[string][]byte

	nodes    []*Node
	mistakes []string
}

// Node is one operator of the user's program.
type Node struct {
	// Index is the node's place in the order of construction.
	Index int
	// Kind is what it is: "source", "map", "window aggregate", "sink".
	Kind string
	Name string
	// ID is the stable id that the user gave; empty if none.
	ID string
	// Parallelism as given in code; 0 is the job's default.
	Parallelism int
	// StartChain begins a new chain at this node; NoChain keeps it apart from
	// what follows, too.
	StartChain, NoChain bool
	// BufferTimeout of the exchanges that leave this node; nil is the default.
	BufferTimeout *time.Duration
	// OutputType is the Go type of its records; empty for a sink.
	OutputType string
	// Position is where it was written.
	Position string
	// Source and Bounded describe a source; Stateful an operator with state;
	// Timed one whose output has event times.
	Source, Bounded, Stateful, Timed bool
	// EmitsSides tells that the operator may have side outputs.
	EmitsSides       bool
	SlotSharingGroup string
	// Inputs are where the records come from; none for a source.
	Inputs []*Input
	// Sides are the outputs beside the main one that somebody asked for.
	Sides []Side
	// Code builds the operator's instances; the task package knows its type.
	Code any
}

// Side is an output of a node beside its main one.
type Side struct {
	Name string
	// Type is the Go type of its records.
	Type string
	// Code joins its consumers; the task package knows its type.
	Code any
}

// Input is an edge that leads into a node.
type Input struct {
	From *Node
	// Port is the output of From: 0 is the main one, n the side output n-1.
	Port int
	// Ordinal tells which input of a node with two it is: 0 or 1. Several edges
	// with the same one are a union.
	Ordinal      int
	Partitioning Partitioning
	// Strict tells that Forward was asked for: both sides must have the same
	// parallelism.
	Strict        bool
	RecordType    string
	KeyType       string
	PreAggregated bool
	// Code builds the two ends of the exchange if the edge becomes one; the task
	// package knows its type.
	Code any
}

// NewGraph returns an empty graph.
func NewGraph(jobName string) *Graph {
	return &Graph{JobName: jobName, Settings: map[string]string{}, Recorded: map[string][]byte{}}
}

// Add adds n, whose inputs, if any, were added before.
func (g *Graph) Add(n *Node) *Node {
	n.Index = len(g.nodes)
	g.nodes = append(g.nodes, n)
	return n
}

// Nodes returns the nodes in the order of construction.
func (g *Graph) Nodes() []*Node { return g.nodes }

// Mistake records that the program is wrong at position.
func (g *Graph) Mistake(position, format string, args ...any) {
	g.mistakes = append(g.mistakes, position+": "+fmt.Sprintf(format, args...))
}

// MistakeOnce is [Graph.Mistake] for what one cause makes wrong in many places:
// it is recorded at the first of them.
func (g *Graph) MistakeOnce(position, format string, args ...any) {
	text := ": " + fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(g.mistakes, func(m string) bool { return strings.HasSuffix(m, text) }) {
		g.mistakes = append(g.mistakes, position+text)
	}
}

// MistakeLines lists mistakes for a message, each on an indented line of its own, and
// what else it has to say below it. It begins with a line's end.
func MistakeLines(mistakes []string) string {
	var b strings.Builder
	for _, m := range mistakes {
		b.WriteString("\n  " + strings.ReplaceAll(m, "\n", "\n    "))
	}
	return b.String()
}

// Caller returns the file and line of the first caller outside the packages
// that the engine consists of, as "dir/file.go:12": where the user wrote the
// call. The directory's last element is kept, since many files are main.go.
func Caller() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if !engineFrame(f.Function) || strings.HasSuffix(f.File, "_test.go") {
			return fmt.Sprintf("%s/%s:%d", filepath.Base(filepath.Dir(f.File)), filepath.Base(f.File), f.Line)
		}
		if !more {
			return "unknown position"
		}
	}
}

const module = "github.com/weirstream/weir"

// engineFrame reports whether a function belongs to the public API's root or to
// this package: the frames between the user's call and here.
func engineFrame(function string) bool {
	rest, ok := strings.CutPrefix(function, module)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "/internal/dataflow."))
}
