package workload_test

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/weirstream/weir/bench/internal/workload"
)

// The vectors of these tests were computed by a program in another language,
// from the description in doc.go.

func TestGeneratorVectors(t *testing.T) {
	p := workload.Params{Events: 3, Keys: 100, Window: 1000, Rate: 1000}
	for split, want := range [][]workload.Event{
		{{Key: 61, Time: 0, Value: 0, Rest: 1082269761}, {Key: 5, Time: 2, Value: 1048641, Rest: 1152992998833853505}, {Key: 57, Time: 4, Value: 10165892, Rest: 11177516664432764457}},
		{{Key: 25, Time: 0, Value: 7, Rest: 8466559378125}, {Key: 56, Time: 2, Value: 506891, Rest: 557332933618054856}, {Key: 25, Time: 4, Value: 11004895, Rest: 12100010882917161125}},
	} {
		g := p.Split(split)
		got := make([]workload.Event, 2)
		n := g.Fill(got)
		got = got[:n+g.Fill(got[n:])]
		if done, total := g.Progress(); done != 2 || total != 3 {
			t.Errorf("split %d: %d of %d made, want 2 of 3", split, done, total)
		}
		rest := make([]workload.Event, 2)
		got = append(got, rest[:g.Fill(rest)]...)
		if !slices.Equal(got, want) || g.Fill(rest) != 0 {
			t.Errorf("split %d: %v, want %v and no more", split, got, want)
		}
	}
}

func TestAnswerVectors(t *testing.T) {
	for _, test := range []struct {
		params workload.Params
		splits int
		want   workload.Result
	}{
		{workload.Params{Events: 10_000, Keys: 100, Window: 1000, Rate: 1000}, 2, workload.Result{Rows: 2000, Events: 20_000, Sum: 167200304675, Checksum: 11928274575137048932}},
		{workload.Params{Events: 10_000, Keys: 100, Window: 7, Rate: 999}, 2, workload.Result{Rows: 19396, Events: 20_000, Sum: 167200304675, Checksum: 2228462376458200059}},
		{workload.Params{Events: 5000, Keys: 3, Window: 13, Rate: 1_000_000}, 1, workload.Result{Rows: 3, Events: 5000, Sum: 41350831874, Checksum: 7803691232177433995}},
		{workload.Params{Events: 1, Keys: 1, Window: 1, Rate: 1}, 1, workload.Result{Rows: 1, Events: 1, Sum: 0, Checksum: 306330869528380693}},
		{workload.Params{Events: 20_000, Keys: 1000, Window: 10, Rate: 100_000}, 3, workload.Result{Rows: 31102, Events: 60_000, Sum: 502431877742, Checksum: 4028564354972654253}},
	} {
		if got := test.params.Answer(test.splits); got != test.want {
			t.Errorf("%+v over %d splits: %+v, want %+v", test.params, test.splits, got, test.want)
		}
	}
}

// TestResultsAddUp divides rows at random, in a random order (A1).
func TestResultsAddUp(t *testing.T) {
	type row struct {
		key               uint64
		start, count, sum int64
	}
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]row, 1000)
	for i := range rows {
		rows[i] = row{r.Uint64(), r.Int64(), r.Int64N(1000), r.Int64N(1000)}
	}
	var want workload.Result
	for _, x := range rows {
		want.Row(x.key, x.start, x.count, x.sum)
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	var parts [3]workload.Result
	for _, x := range rows {
		parts[r.IntN(3)].Row(x.key, x.start, x.count, x.sum)
	}
	var got workload.Result
	for _, part := range parts {
		got.Add(part)
	}
	if got != want {
		t.Errorf("divided %+v, want %+v", got, want)
	}
}

// TestChecksumSees mixes up what the other figures do not notice.
func TestChecksumSees(t *testing.T) {
	checksum := func(rows ...[4]int64) uint64 {
		var r workload.Result
		for _, x := range rows {
			r.Row(uint64(x[0]), x[1], x[2], x[3])
		}
		return r.Checksum
	}
	seen := map[uint64]string{}
	for name, rows := range map[string][][4]int64{
		"as it is":                     {{1, 0, 5, 10}, {2, 0, 6, 20}},
		"sums swapped":                 {{1, 0, 5, 20}, {2, 0, 6, 10}},
		"counts swapped":               {{1, 0, 6, 10}, {2, 0, 5, 20}},
		"both swapped, so keys":        {{1, 0, 6, 20}, {2, 0, 5, 10}},
		"a row in another window":      {{1, 1000, 5, 10}, {2, 0, 6, 20}},
		"both in another window":       {{1, 1000, 5, 10}, {2, 1000, 6, 20}},
		"an event of one in the other": {{1, 0, 4, 10}, {2, 0, 7, 20}},
		"a row twice, another never":   {{1, 0, 5, 10}, {1, 0, 5, 10}},
	} {
		c := checksum(rows...)
		if other, ok := seen[c]; ok {
			t.Errorf("%q has the checksum of %q", name, other)
		}
		seen[c] = name
	}
}

func TestSubtaskResultJSON(t *testing.T) {
	want := workload.SubtaskResult{Subtask: 1, Opened: 5, Result: workload.Result{Rows: 2, Events: 3, Sum: 4, Checksum: 1<<64 - 1}}
	line, err := json.Marshal(want)
	const text = `{"rows":2,"events":3,"sum":4,"checksum":18446744073709551615,"subtask":1,"opened_unix_ms":5}`
	if err != nil || string(line) != text {
		t.Errorf("%s, %v, want %s", line, err, text)
	}
	var got workload.SubtaskResult
	if err := json.Unmarshal(line, &got); err != nil || got != want {
		t.Errorf("read back %+v, %v", got, err)
	}
}

func TestParamsFromArguments(t *testing.T) {
	want := workload.Params{Events: 1, Keys: 2, Window: 3, Rate: 4}
	var got workload.Params
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	got.Flags(flags)
	if err := flags.Parse(want.Arguments()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestParamsCheck(t *testing.T) {
	good := workload.Params{Events: 1, Keys: 1, Window: 1, Rate: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []workload.Params{
		{Events: 0, Keys: 1, Window: 1, Rate: 1},
		{Events: 1, Keys: 0, Window: 1, Rate: 1},
		{Events: 1, Keys: 1, Window: -1, Rate: 1},
		{Events: 1, Keys: 1, Window: 1, Rate: 0},
		{Events: 1 << 60, Keys: 1, Window: 1, Rate: 1},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
