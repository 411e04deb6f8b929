package weir_test

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/internal/dataflow"
)

// realData returns the path of a file among the real data, whose licence keeps
// it out of the project: the folder that WEIR_TEST_DATA names, or data beside
// the project's shared folder.
func realData(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("WEIR_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("this test needs real data: %v\nPut the folder with the data set at ../shared/data, or name it with WEIR_TEST_DATA; CONTRIBUTING.md says where it comes from.", err)
	}
	return path
}

// departure is a row of nyc-departures-2013.csv.gz.
type departure struct {
	Scheduled time.Time `csv:"sched_utc"`
	Origin    string    `csv:"origin"`
	Delay     int64     `csv:"dep_delay_min"`
}

type hourOfAirport struct {
	Start              int64
	Origin             string
	Count, Sum, MaxLag int64
}

func (h hourOfAirport) row() string {
	return fmt.Sprintf("%d,%s,%d,%d,%d", h.Start, h.Origin, h.Count, h.Sum, h.MaxLag)
}

type delaySum struct{ Count, Sum, Max int64 }

type delaysByHour struct{}

func (delaysByHour) Add(a *delaySum, d departure) {
	if a.Count == 0 {
		a.Max = d.Delay
	}
	a.Count++
	a.Sum += d.Delay
	a.Max = max(a.Max, d.Delay)
}

func (delaysByHour) Merge(a, b *delaySum) {
	if a.Count == 0 {
		*a = *b
		return
	}
	a.Count += b.Count
	a.Sum += b.Sum
	a.Max = max(a.Max, b.Max)
}

func (delaysByHour) Result(origin string, w weir.Window, a *delaySum) hourOfAirport {
	return hourOfAirport{w.Start, origin, a.Count, a.Sum, a.Max}
}

// departuresByHour is the job whose answers are nyc_tumbling_1h_origin.
func departuresByHour(source weir.Source[departure], sink weir.Sink[hourOfAirport]) func(*weir.Env) {
	return func(env *weir.Env) {
		weir.From(env, "departures", source).
			WithWatermarks(weir.BoundedOutOfOrderness(24*time.Hour), func(d departure) time.Time { return d.Scheduled }).
			Rebalance().
			Filter(func(departure) bool { return true }).Name("spread").
			KeyBy(func(d departure) string { return d.Origin }).
			Window(weir.Tumbling(time.Hour)).
			Aggregate(delaysByHour{}).ID("by-hour").
			To("rows", sink)
	}
}

// readAnswers returns the rows of a compressed answer file without its header.
func readAnswers(t testing.TB, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		rows = append(rows, lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// readDepartures reads the file into memory, for a test that runs many jobs.
func readDepartures(t testing.TB, path string) (all []departure) {
	t.Helper()
	source := file.CSV[departure](path)
	splits, err := source.Splits(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range splits {
		r, err := source.Open(t.Context(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		for batch := make([]departure, 512); err == nil; {
			var n int
			n, err = r.Read(batch)
			all = append(all, batch[:n]...)
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func checkRows(t *testing.T, got []hourOfAirport, want []string) {
	t.Helper()
	slices.SortFunc(got, func(a, b hourOfAirport) int {
		if a.Start != b.Start {
			return int(a.Start/1000 - b.Start/1000)
		}
		return strings.Compare(a.Origin, b.Origin)
	})
	if len(got) != len(want) {
		t.Errorf("got %d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].row() != want[i] {
			t.Fatalf("row %d is %q, want %q", i, got[i].row(), want[i])
		}
	}
}

// TestExactAnswers compares a job on real, really out-of-order data with answers
// that were computed without any engine, over parallelism, workers, buffer
// timeouts, pre-aggregation and the least network memory that is accepted.
func TestExactAnswers(t *testing.T) {
	departures := readDepartures(t, realData(t, "nyc-departures-2013.csv.gz"))
	want := readAnswers(t, realData(t, "expected/nyc_tumbling_1h_origin.csv.gz"))
	for _, c := range []struct {
		workers, parallelism int
		timeout              time.Duration
		pre, least           bool
	}{
		{1, 1, 100 * time.Millisecond, true, false},
		{1, 2, 0, true, false},
		{1, 4, dataflow.NoTimeout, false, false},
		{2, 4, 100 * time.Millisecond, false, true},
		{2, 4, 0, true, true},
		{2, 4, dataflow.NoTimeout, true, true},
	} {
		name := fmt.Sprintf("workers=%d/parallelism=%d/timeout=%v/preaggregation=%v/least=%v", c.workers, c.parallelism, c.timeout, c.pre, c.least)
		t.Run(name, func(t *testing.T) {
			sink := &collect[hourOfAirport]{}
			e := &engine{workers: c.workers, parallelism: c.parallelism, settings: defaultSettings()}
			e.settings.BufferTimeout = c.timeout
			e.settings.PreAggregation = c.pre
			if c.least {
				e.least = true
			}
			metrics, err := e.run(t.Context(), departuresByHour(listOf(departures...), sink))
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, sink.rows, want)
			remote := uint64(0)
			for _, m := range metrics {
				remote += m.RecordsInRemote
				if m.LateDropped > 0 {
					t.Errorf("vertex %d subtask %d dropped %d records as late", m.Vertex, m.Subtask, m.LateDropped)
				}
			}
			if (c.workers > 1) != (remote > 0) {
				t.Errorf("%d records came over TCP with %d workers", remote, c.workers)
			}
		})
	}
}

// TestExactAnswersEmbedded is TestExactAnswers through everything that a program
// started by hand uses: JobManager, TaskManager and worker in one process.
func TestExactAnswersEmbedded(t *testing.T) {
	path := realData(t, "nyc-departures-2013.csv.gz")
	want := readAnswers(t, realData(t, "expected/nyc_tumbling_1h_origin.csv.gz"))
	for _, parallelism := range []string{"1", "2", "4"} {
		for _, timeout := range []string{"0 ms", "100 ms", "-1"} {
			for _, pre := range []string{"true", "false"} {
				t.Run(fmt.Sprintf("parallelism=%s/timeout=%s/preaggregation=%s", parallelism, timeout, pre), func(t *testing.T) {
					sink := &collect[hourOfAirport]{}
					err := weir.Run(t.Context(), "departures", departuresByHour(file.CSV[departure](path), sink),
						weir.Setting("parallelism.default", parallelism),
						weir.Setting("execution.buffer-timeout.interval", timeout),
						weir.Setting("pipeline.pre-aggregation.enabled", pre))
					if err != nil {
						t.Fatal(err)
					}
					checkRows(t, sink.rows, want)
				})
			}
		}
	}
}
