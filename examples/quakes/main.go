// Quakes finds spells of seismic activity: quakes that a seismic network has recorded
// at most half an hour after one another.
//
//	go run ./examples/quakes [-gap d] [-wait d] [-late d] [-min-quakes n] [quakes]
//
// It prints a line of JSON for each spell. quakes names files of JSON lines, as a path,
// a directory or a glob, compressed or not; without it, from the project's root, the
// file beside this program is read. On a cluster the path is absolute.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/connector/stdout"
)

func main() { weir.Main("quakes", build) }

func build(env *weir.Env) {
	options := parse(env.Args())

	quakes := weir.From(env, "quakes", file.JSONLines[Quake](options.quakes)).
		WithWatermarks(weir.BoundedOutOfOrderness(options.wait), Quake.At)

	quakes.
		KeyBy(Quake.RecordedBy).
		Window(weir.Session(options.gap)).
		AllowedLateness(options.late).
		Aggregate(activity{gap: options.gap}).ID("spells").
		Filter(options.wanted).
		To("stdout", stdout.JSON[Spell]())
}

// Quake is one event that a seismic network has recorded.
type Quake struct {
	Time      int64   `json:"time"` // ms since the epoch
	Network   string  `json:"net"`
	Magnitude float64 `json:"mag"`
	Place     string  `json:"place"`
}

// At is the quake's event time.
func (q Quake) At() int64 { return q.Time }

// RecordedBy is the network that recorded the quake.
func (q Quake) RecordedBy() string { return q.Network }

// Spell is a time in which a network has recorded one quake after the other.
type Spell struct {
	Network string `json:"network"`
	First   string `json:"first"`
	Last    string `json:"last"`
	Quakes  int64  `json:"quakes"`
	// MeanMagnitude is rounded to hundredths.
	MeanMagnitude float64 `json:"mean_magnitude"`
	// Strongest is the magnitude of the strongest quake, which was at Place.
	Strongest float64 `json:"strongest"`
	Place     string  `json:"place"`
}

const timeLayout = "2006-01-02T15:04:05.000Z"

// spell is what is kept of a spell while it lasts.
type spell struct {
	Quakes int64
	// Hundredths is the sum of the magnitudes, as an integer: sums of floating-point
	// numbers depend on the order, and quakes come in any order.
	Hundredths int64
	Strongest  float64
	Place      string
}

// activity makes the Spell of a network's quakes.
type activity struct{ gap time.Duration }

func (activity) Add(s *spell, q Quake) {
	s.strongest(s.Quakes == 0, q.Magnitude, q.Place)
	s.Quakes++
	s.Hundredths += int64(math.Round(q.Magnitude * 100))
}

// Merge makes one spell of two, between which a quake was reported late.
func (activity) Merge(s, other *spell) {
	s.strongest(s.Quakes == 0, other.Strongest, other.Place)
	s.Quakes += other.Quakes
	s.Hundredths += other.Hundredths
}

func (a activity) Result(network string, window weir.Window, s *spell) Spell {
	return Spell{
		Network:       network,
		First:         window.StartTime().Format(timeLayout),
		Last:          window.EndTime().Add(-a.gap).Format(timeLayout),
		Quakes:        s.Quakes,
		MeanMagnitude: math.Round(float64(s.Hundredths)/float64(s.Quakes)) / 100,
		Strongest:     s.Strongest,
		Place:         s.Place,
	}
}

// strongest keeps the stronger of two quakes; of equal ones the place that is first
// in the alphabet, so that the order in which they come does not matter.
func (s *spell) strongest(first bool, magnitude float64, place string) {
	if first || magnitude > s.Strongest || magnitude == s.Strongest && place < s.Place {
		s.Strongest, s.Place = magnitude, place
	}
}

// options are the job's arguments.
type options struct {
	quakes          string
	gap, wait, late time.Duration
	minQuakes       int64
}

func (o options) wanted(s Spell) bool { return s.Quakes >= o.minQuakes }

func parse(args []string) options {
	o := options{quakes: "examples/quakes/usgs-quakes-2018w05.jsonl.gz"}
	flags := flag.NewFlagSet("quakes", flag.ExitOnError)
	flags.DurationVar(&o.gap, "gap", 30*time.Minute, "a spell ends when nothing is recorded for so long")
	flags.DurationVar(&o.wait, "wait", 7*24*time.Hour, "how far behind the latest quake another may be reported, to be waited for")
	flags.DurationVar(&o.late, "late", 0, "how much later still a quake may be reported, which corrects what was printed")
	flags.Int64Var(&o.minQuakes, "min-quakes", 1, "print only spells with at least this many quakes")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: quakes [-gap d] [-wait d] [-late d] [-min-quakes n] [quakes]")
		flags.PrintDefaults()
	}
	_ = flags.Parse(args) // it exits on an error
	switch flags.NArg() {
	case 0:
	case 1:
		o.quakes = flags.Arg(0)
	default:
		fmt.Fprintf(flags.Output(), "there is one argument, the quakes to read: got %q\n", flags.Args())
		flags.Usage()
		os.Exit(2)
	}
	return o
}
