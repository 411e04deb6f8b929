package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const data = "us-flights-2001-01.csv.gz"

type airportHour struct{ airport, hour string }

// TestAnswers compares the job's output with a loop over the file.
func TestAnswers(t *testing.T) {
	want := loop(t)
	if len(want) < 1000 {
		t.Fatalf("the loop found %d results only", len(want))
	}
	got := run(t, data)
	if !reflect.DeepEqual(got, want) {
		differ(t, got, want)
	}
}

// TestOptions leaves out what is asked to be left out.
func TestOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flights.csv")
	flights := "dep_local,arr_delay_min,origin\n" +
		"2001-01-01T00:01,33,LAS\n2001-01-01T00:01,-4,ATL\n2001-01-01T00:59,0,LAS\n2001-01-01T01:00,7,LAS\n"
	if err := os.WriteFile(path, []byte(flights), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[airportHour]HourlyDelay{
		{"LAS", "2001-01-01T00:00"}: {"LAS", "2001-01-01T00:00", 2, 16.5},
	}
	if got := run(t, "-min-departures", "2", path); !reflect.DeepEqual(got, want) {
		differ(t, got, want)
	}
}

// run runs the job as it is, with its standard output in a file.
func run(t *testing.T, args ...string) map[airportHour]HourlyDelay {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdout")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	saved := os.Stdout
	os.Stdout = out
	err = weir.Run(t.Context(), "late departures", build, weir.Args(args...))
	os.Stdout = saved
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	results := map[airportHour]HourlyDelay{}
	for line := range strings.Lines(string(content)) {
		var h HourlyDelay
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		key := airportHour{h.Airport, h.Hour}
		if _, ok := results[key]; ok {
			t.Fatalf("%v comes twice", key)
		}
		results[key] = h
	}
	return results
}

// loop computes the answers without Weir.
func loop(t *testing.T) map[airportHour]HourlyDelay {
	t.Helper()
	f, err := os.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"dep_local", "arr_delay_min", "distance_mi", "origin", "dest"}; !reflect.DeepEqual(header, want) {
		t.Fatalf("header %q, want %q", header, want)
	}
	counts, minutes := map[airportHour]int{}, map[airportHour]int{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		delay, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		key := airportHour{row[3], row[0][:len("2001-01-01T00:")] + "00"}
		counts[key]++
		minutes[key] += delay
	}
	results := map[airportHour]HourlyDelay{}
	for key, n := range counts {
		mean := math.Round(float64(minutes[key])/float64(n)*100) / 100
		results[key] = HourlyDelay{key.airport, key.hour, int64(n), mean}
	}
	return results
}

func differ(t *testing.T, got, want map[airportHour]HourlyDelay) {
	t.Helper()
	t.Errorf("%d results, want %d", len(got), len(want))
	reported := 0
	for key, h := range want {
		if got[key] != h && reported < 10 {
			t.Errorf("got %+v, want %+v", got[key], h)
			reported++
		}
	}
}
