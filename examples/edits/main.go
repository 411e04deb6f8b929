// Edits finds the busiest channels among the edits of a wiki: every ten minutes it
// prints how much was edited in each channel within the last hour.
//
//	go run ./examples/edits [-min-edits n] [edits]
//
// edits names files of JSON lines, as a path, a directory or a glob, compressed or
// not; without it, from the project's root, the file beside this program is read.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/connector/stdout"
)

func main() { weir.Main("edits", build) }

func build(env *weir.Env) {
	options := parse(env.Args())

	edits := weir.From(env, "edits", file.JSONLines[Edit](options.edits)).
		WithWatermarks(weir.BoundedOutOfOrderness(time.Minute), Edit.At)

	edits.
		KeyBy(Edit.In).
		Window(weir.Sliding(time.Hour, 10*time.Minute)).
		Aggregate(activity{}).ID("activity").
		Filter(options.wanted).
		To("stdout", stdout.JSON[Activity]())
}

// Edit is one edit of a page.
type Edit struct {
	Time    time.Time `json:"time"`
	Channel string    `json:"channel"`
	Added   int64     `json:"added"`   // bytes
	Deleted int64     `json:"deleted"` // bytes
	IsRobot bool      `json:"isRobot"`
}

// At is the edit's event time.
func (e Edit) At() time.Time { return e.Time }

// In is where the edit was made.
func (e Edit) In() string { return e.Channel }

// Activity is what went on in a channel within an hour.
type Activity struct {
	Until   string `json:"until"`
	Channel string `json:"channel"`
	Edits   int64  `json:"edits"`
	Robots  int64  `json:"robots"`
	// Growth is by how many bytes the pages have grown.
	Growth int64 `json:"growth"`
}

// activity makes the Activity of the edits of a channel's hour.
type activity struct{}

func (activity) Add(a *Activity, e Edit) {
	a.Edits++
	a.Growth += e.Added - e.Deleted
	if e.IsRobot {
		a.Robots++
	}
}

// Merge makes an hour of its ten-minute parts: each edit is added once, whatever
// the number of windows that it is in.
func (activity) Merge(a, other *Activity) {
	a.Edits += other.Edits
	a.Growth += other.Growth
	a.Robots += other.Robots
}

// Subtract takes the oldest part out again when the window moves on, so that no
// part is merged twice.
func (activity) Subtract(a, other *Activity) {
	a.Edits -= other.Edits
	a.Growth -= other.Growth
	a.Robots -= other.Robots
}

func (activity) Result(channel string, window weir.Window, a *Activity) Activity {
	r := *a
	r.Channel, r.Until = channel, window.EndTime().Format(time.DateTime)
	return r
}

// options are the job's arguments.
type options struct {
	edits    string
	minEdits int64
}

func (o options) wanted(a Activity) bool { return a.Edits >= o.minEdits }

func parse(args []string) options {
	o := options{edits: "examples/edits/edits.jsonl"}
	flags := flag.NewFlagSet("edits", flag.ExitOnError)
	flags.Int64Var(&o.minEdits, "min-edits", 0, "print only hours with at least this many edits")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: edits [-min-edits n] [edits]")
		flags.PrintDefaults()
	}
	_ = flags.Parse(args) // it exits on an error
	switch flags.NArg() {
	case 0:
	case 1:
		o.edits = flags.Arg(0)
	default:
		fmt.Fprintf(flags.Output(), "there is one argument, the edits to read: got %q\n", flags.Args())
		flags.Usage()
		os.Exit(2)
	}
	return o
}
