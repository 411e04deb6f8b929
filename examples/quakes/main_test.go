package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const data = "usgs-quakes-2018w05.jsonl.gz"

// spellKey is what tells spells apart, whose results may be corrected.
type spellKey struct{ network, first, last string }

// golden reads the answers for a gap of 30 minutes, which were computed without Weir,
// and adds the strongest quake of each.
func golden(t *testing.T) map[spellKey]Spell {
	t.Helper()
	f, err := os.Open("testdata/sessions-30m.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	quakes := read(t)
	want := map[spellKey]Spell{}
	for _, row := range rows[1:] { // first,net,last,events,sum_mag_x100
		first, last, n, sum := number(t, row[0]), number(t, row[2]), number(t, row[3]), number(t, row[4])
		s := Spell{Network: row[1], First: moment(first), Last: moment(last), Quakes: n, MeanMagnitude: math.Round(float64(sum)/float64(n)) / 100, Strongest: math.Inf(-1)}
		for _, q := range quakes {
			if q.Network != s.Network || q.Time < first || q.Time > last {
				continue
			}
			if q.Magnitude > s.Strongest || q.Magnitude == s.Strongest && q.Place < s.Place {
				s.Strongest, s.Place = q.Magnitude, q.Place
			}
		}
		want[spellKey{s.Network, s.First, s.Last}] = s
	}
	if len(want) != 776 {
		t.Fatalf("%d golden rows, want 776", len(want))
	}
	return want
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func moment(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05") + fmt.Sprintf(".%03dZ", ms%1000)
}

// read reads the quakes without the engine.
func read(t *testing.T) (quakes []Quake) {
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
	for d := json.NewDecoder(z); d.More(); {
		var q Quake
		if err := d.Decode(&q); err != nil {
			t.Fatal(err)
		}
		quakes = append(quakes, q)
	}
	return quakes
}

// run runs the job as it is, with its standard output in a file, and returns its
// lines.
func run(t *testing.T, parallelism int, args ...string) (spells []Spell) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdout")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	saved := os.Stdout
	os.Stdout = out
	err = weir.Run(t.Context(), "quakes", build, weir.Args(args...), weir.Setting("parallelism.default", strconv.Itoa(parallelism)))
	os.Stdout = saved
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var s Spell
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		spells = append(spells, s)
	}
	return spells
}

// TestAnswers: whoever waits for a week gets each spell once, and right.
func TestAnswers(t *testing.T) {
	want := golden(t)
	for _, parallelism := range []int{1, 2, 4} {
		got := map[spellKey]Spell{}
		for _, s := range run(t, parallelism, data) {
			key := spellKey{s.Network, s.First, s.Last}
			if _, ok := got[key]; ok {
				t.Errorf("%v comes twice", key)
			}
			got[key] = s
		}
		compare(t, got, want)
	}
}

// TestCorrections: whoever does not wait gets results that are corrected later: of
// those that overlap the last is right.
func TestCorrections(t *testing.T) {
	lines := run(t, 1, "-wait", "0s", "-late", "168h", data)
	var final []Spell
	for i := len(lines) - 1; i >= 0; i-- {
		replaced := false
		for _, s := range final {
			replaced = replaced || s.Network == lines[i].Network && s.First <= lines[i].Last && lines[i].First <= s.Last
		}
		if !replaced {
			final = append(final, lines[i])
		}
	}
	got := map[spellKey]Spell{}
	for _, s := range final {
		got[spellKey{s.Network, s.First, s.Last}] = s
	}
	compare(t, got, golden(t))
	if len(lines) == len(got) {
		t.Error("nothing was corrected: the test says little")
	}
}

// TestOptions leaves out what is asked to be left out, and has another gap.
func TestOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quakes.jsonl")
	quakes := `{"time":0,"net":"ak","mag":1.5,"place":"b"}
{"time":59999,"net":"ak","mag":1.5,"place":"a"}
{"time":60000,"net":"us","mag":-0.5,"place":"c"}
{"time":119999,"net":"ak","mag":2,"place":"d"}
`
	if err := os.WriteFile(path, []byte(quakes), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, 2, "-gap", "1m", "-min-quakes", "2", path)
	want := Spell{"ak", "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:59.999Z", 2, 1.5, 1.5, "a"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func compare(t *testing.T, got, want map[spellKey]Spell) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	t.Errorf("%d spells, want %d", len(got), len(want))
	reported := 0
	for key, s := range want {
		if got[key] != s && reported < 10 {
			t.Errorf("got %+v, want %+v", got[key], s)
			reported++
		}
	}
}
