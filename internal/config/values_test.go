package config_test

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0":                     0,
		"1500":                  1500 * time.Millisecond,
		" 7 ":                   7 * time.Millisecond,
		"1ns":                   1,
		"2 nano":                2,
		"3nanos":                3,
		"4 nanosecond":          4,
		"5 nanoseconds":         5,
		"6µs":                   6000,
		"6 μs":                  6000,
		"7micro":                7000,
		"8 micros":              8000,
		"9 microseconds":        9000,
		"10ms":                  10_000_000,
		"11 milli":              11_000_000,
		"12 millis":             12_000_000,
		"13 MILLISECONDS":       13_000_000,
		"10 s":                  10_000_000_000,
		"1 sec":                 time.Second,
		"2 Seconds":             2 * time.Second,
		"3m":                    180_000_000_000,
		"3 min":                 180_000_000_000,
		"4 minutes":             240_000_000_000,
		"5h":                    18_000_000_000_000,
		"1 hour":                3_600_000_000_000,
		"1 d":                   86_400_000_000_000,
		"2 days":                172_800_000_000_000,
		"9223372036854775807ns": math.MaxInt64,
	} {
		if got, err := config.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestParseDurationRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "does not start with a whole number",
		"s":                     "does not start with a whole number",
		"-1 s":                  "does not start with a whole number",
		"1.5 s":                 "write 1500 ms for 1.5 s",
		"1h30m":                 `"h30m" is not a unit of time`,
		"3 us":                  `"us" is not a unit of time`,
		"1 week":                `"week" is not a unit of time`,
		"9223372036854775808ns": "longer than a duration can be",
		"106752 d":              "longer than a duration can be",
	} {
		if got, err := config.ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDuration(%q) = %v, %v, want an error with %q", text, got, err, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                      "0 ms",
		1:                      "1 ns",
		1500:                   "1500 ns",
		2 * time.Microsecond:   "2 µs",
		100 * time.Millisecond: "100 ms",
		10 * time.Second:       "10 s",
		90 * time.Second:       "90 s",
		5 * time.Minute:        "5 min",
		time.Hour:              "1 h",
		36 * time.Hour:         "36 h",
		48 * time.Hour:         "2 d",
	} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", int64(d), got, want)
		}
	}
}

// TestDurationRoundTrip: what is printed is read.
func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64/int64(unit)).Draw(t, "value")) * unit
		if got, err := config.ParseDuration(config.FormatDuration(d)); err != nil || got != d {
			t.Fatalf("ParseDuration(%q) = %v, %v, want %v", config.FormatDuration(d), got, err, d)
		}
	})
}

// FuzzParseDuration: no text makes the parser panic; what it accepts is what
// exact arithmetic on the same digits gives.
func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"", "0", "10 s", "1.5s", "106752d", "9223372036854775807ns", "3 µs", "1 \u03bcs", "\u0663 s", "1\u212a"} {
		f.Add(seed)
	}
	nanos := map[byte]int64{'n': 1, 's': 1e9, 'h': 3600e9, 'd': 86400e9}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.ParseDuration(text)
		if err != nil {
			return
		}
		trimmed := strings.TrimSpace(text)
		digits := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "0123456789"))]
		unit := strings.ToLower(strings.TrimSpace(trimmed[len(digits):]))
		value, ok := new(big.Int).SetString(digits, 10)
		if !ok {
			t.Fatalf("ParseDuration(%q) = %v without digits", text, d)
		}
		factor := int64(1e3) // All other units of microseconds, with their Greek letters.
		switch {
		case unit == "", unit == "ms", strings.HasPrefix(unit, "milli"):
			factor = 1e6
		case unit == "m", strings.HasPrefix(unit, "min"):
			factor = 60e9
		case nanos[unit[0]] != 0:
			factor = nanos[unit[0]]
		}
		if value.Mul(value, big.NewInt(factor)).Cmp(big.NewInt(int64(d))) != 0 {
			t.Errorf("ParseDuration(%q) = %d, want %v", text, int64(d), value)
		}
		if again, err := config.ParseDuration(config.FormatDuration(d)); err != nil || again != d {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", config.FormatDuration(d), again, err, d)
		}
	})
}

func TestPortsAll(t *testing.T) {
	c := mustMap(t, map[string]string{"taskmanager.data.port": "65534-65535,50100"})
	if got := slices.Collect(config.TaskManagerDataPort.Get(c).All()); !slices.Equal(got, []uint16{65534, 65535, 50100}) {
		t.Errorf("All() = %v", got)
	}
	for port := range config.TaskManagerDataPort.Get(c).All() {
		if port != 65534 {
			t.Errorf("All() goes on with %d after the loop has ended", port)
		}
		break
	}
	if got := slices.Collect(config.TaskManagerDataPort.Get(config.Default()).All()); !slices.Equal(got, []uint16{0}) {
		t.Errorf("the default yields %v, want any port", got)
	}
}
