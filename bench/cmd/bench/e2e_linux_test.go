package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestEndToEnd runs every benchmark on real processes, for as short a time as
// possible, and looks at what is printed: the lines are an interface.
func TestEndToEnd(t *testing.T) {
	profiles := t.TempDir()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"-keys", "1000", "-pairs", "1", "-seconds", "0.01", "-duration", "2s", "-cpuprofile", profiles}, &stdout, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, &stdout, &stderr)
	}
	got := map[string]int{}
	for line := range strings.Lines(stdout.String()) {
		got[shape(t, line)]++
	}
	const figure, comparison, latency = " bench,events,events_per_second,keys,preaggregate,system,tcp_records", " bench,high,keys,low,median,pairs,preaggregate,ratio",
		" bench,case,max_us,p50_us,p99_us,records,tcp_p99_us,tcp_records"
	want := map[string]int{
		"latency exchange" + latency: 1, "latency map-1ms" + latency: 1,
		"bounded-memory process bench,first_bytes,flat,growth_bytes,last_bytes,max_bytes,process,samples":             5,
		"bounded-memory task backpressured_ms_per_second,bench,busy_ms_per_second,idle_ms_per_second,records_in,task": 3,
		"keyed-window weir 1000 false" + figure: 1, "keyed-window weir 1000 true" + figure: 1, "keyed-window limit 1000 false" + figure: 1,
		"keyed-window weir/limit 1000 false" + comparison: 1, "keyed-window weir/limit 1000 true" + comparison: 1,
		"strings string/integer 1000 false" + comparison:                                                                                    1,
		"sliding-window sliding/tumbling 1000 false bench,held_ms,high,keys,low,median,pairs,panes,preaggregate,ratio,subtract":             4,
		"sliding-window weir 1000 false bench,events,events_per_second,held_ms,keys,panes,preaggregate,subtract,system,tcp_records,variant": 4,
		"sliding-window weir 1000 false bench,events,events_per_second,keys,preaggregate,system,tcp_records,variant":                        1, // tumbling
		// One of each is the run with the profile.
		"keyed-window weir 1000 false" + figure + ",variant": 1, "strings weir 1000 false" + figure + ",variant": 3,
	}
	if !maps.Equal(got, want) {
		t.Errorf("lines by shape:\n%s\nwant\n%s", listed(got), listed(want))
	}
}

// shape returns what a line is about, and the names that it has.
func shape(t *testing.T, line string) string {
	t.Helper()
	var values map[string]any
	if err := json.Unmarshal([]byte(line), &values); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	about := []string{fmt.Sprint(values["bench"])}
	switch {
	case values["system"] != nil:
		about = append(about, fmt.Sprint(values["system"], " ", values["keys"], " ", values["preaggregate"]))
	case values["ratio"] != nil:
		about = append(about, fmt.Sprint(values["ratio"], " ", values["keys"], " ", values["preaggregate"]))
	case values["case"] != nil:
		about = append(about, fmt.Sprint(values["case"]))
	case values["process"] != nil:
		about = append(about, "process")
	case values["task"] != nil:
		about = append(about, "task")
	}
	return strings.Join(about, " ") + " " + strings.Join(slices.Sorted(maps.Keys(values)), ",")
}

func listed(shapes map[string]int) string {
	var b strings.Builder
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		fmt.Fprintf(&b, "%d × %s\n", shapes[shape], shape)
	}
	return b.String()
}
