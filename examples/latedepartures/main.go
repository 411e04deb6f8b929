// Latedepartures counts the departures of each airport in each hour, and says
// how late on average they arrived.
//
//	go run ./examples/latedepartures [-min-departures n] [flights]
//
// It prints a line of JSON per airport and hour. flights names the CSV files to
// read, as a path, a directory or a glob; without it, from the project's root,
// the file beside this program is read. On a cluster the path is absolute, and
// every TaskManager finds the files there:
//
//	weir run -p 4 ./examples/latedepartures /data/us-flights-2001-01.csv.gz
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

func main() { weir.Main("late departures", build) }

func build(env *weir.Env) {
	options := parse(env.Args())

	flights := weir.From(env, "flights", file.CSV[Flight](options.flights)).
		WithWatermarks(weir.BoundedOutOfOrderness(time.Hour), Flight.Departure)

	flights.
		KeyBy(Flight.Airport).
		Window(weir.Tumbling(time.Hour)).
		Aggregate(meanDelay{}).ID("mean delay").
		Filter(options.wanted).
		To("stdout", stdout.JSON[HourlyDelay]())
}

// Flight is one departure. Its time is what the clock at the origin showed.
type Flight struct {
	Local  time.Time `csv:"dep_local,layout=2006-01-02T15:04"`
	Delay  int32     `csv:"arr_delay_min"`
	Origin string    `csv:"origin"`
}

// Departure is the flight's event time.
func (f Flight) Departure() time.Time { return f.Local }

// Airport is where the flight departed.
func (f Flight) Airport() string { return f.Origin }

// HourlyDelay is the result for one airport and one hour.
type HourlyDelay struct {
	Airport    string `json:"airport"`
	Hour       string `json:"hour"` // when it begins, local time
	Departures int64  `json:"departures"`
	// MeanDelay is in minutes, rounded to hundredths. It is negative when flights
	// arrived early.
	MeanDelay float64 `json:"mean_delay_min"`
}

const hourLayout = "2006-01-02T15:04"

// delays is what is kept of an airport's hour.
type delays struct{ Count, Minutes int64 }

// meanDelay makes the HourlyDelay of the flights of an airport's hour.
type meanDelay struct{}

func (meanDelay) Add(d *delays, f Flight) {
	d.Count++
	d.Minutes += int64(f.Delay)
}

// Merge lets flights be added up before they are sent to the airport's subtask.
func (meanDelay) Merge(d, other *delays) {
	d.Count += other.Count
	d.Minutes += other.Minutes
}

func (meanDelay) Result(airport string, window weir.Window, d *delays) HourlyDelay {
	return HourlyDelay{
		Airport:    airport,
		Hour:       window.StartTime().Format(hourLayout),
		Departures: d.Count,
		MeanDelay:  math.Round(float64(d.Minutes)/float64(d.Count)*100) / 100,
	}
}

// options are the job's arguments.
type options struct {
	flights       string
	minDepartures int64
}

func (o options) wanted(h HourlyDelay) bool { return h.Departures >= o.minDepartures }

func parse(args []string) options {
	o := options{flights: "examples/latedepartures/us-flights-2001-01.csv.gz"}
	flags := flag.NewFlagSet("latedepartures", flag.ExitOnError)
	flags.Int64Var(&o.minDepartures, "min-departures", 0, "print only hours with at least this many departures")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: latedepartures [-min-departures n] [flights]")
		flags.PrintDefaults()
	}
	_ = flags.Parse(args) // it exits on an error
	switch flags.NArg() {
	case 0:
	case 1:
		o.flights = flags.Arg(0)
	default:
		fmt.Fprintf(flags.Output(), "there is one argument, the flights to read: got %q\n", flags.Args())
		flags.Usage()
		os.Exit(2)
	}
	return o
}
