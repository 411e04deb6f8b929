package main

import (
	"errors"
	"flag"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestParse(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if want := (options{flinkDir: "../shared/flink", keys: []uint64{1000, 100_000}, pairs: 7, seconds: 3}); !reflect.DeepEqual(o, want) || err != nil {
		t.Errorf("%+v, %v, want %+v", o, err, want)
	}
	o, err = parse([]string{"-run", "keyed-window", "-flink", "-flink-dir", "f", "-keys", "7,8", "-pairs", "9", "-seconds", "0.5", "-duration", "1m", "-cpuprofile", "p"}, io.Discard)
	if want := (options{"keyed-window", true, "f", []uint64{7, 8}, 9, 0.5, time.Minute, "p"}); !reflect.DeepEqual(o, want) || err != nil {
		t.Errorf("%+v, %v, want %+v", o, err, want)
	}
	// What make gives it when no benchmark is named.
	if _, err := parse([]string{"-run", ""}, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-run keyed":           "keyed-window, sliding-window, strings, latency, bounded-memory",
		"extra":                `"extra"`,
		"-flink -run latency":  "only keyed-window and sliding-window",
		"-keys 7,x":            `"x"`,
		"-keys 0":              `"0"`,
		"-pairs 0":             "-pairs 0",
		"-seconds 0":           "-seconds 0",
		"-seconds NaN":         "-seconds NaN",
		"-duration -1s":        "-duration -1s",
		"-run latency -bogus":  "-bogus",
		"-seconds 1e9 -pairs1": "-pairs1",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestNoFlinkToCompareWith(t *testing.T) {
	err := run(t.Context(), []string{"-flink", "-flink-dir", t.TempDir()}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-flink-dir") {
		t.Errorf("%v", err)
	}
}
