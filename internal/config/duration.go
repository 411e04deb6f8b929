package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// durationUnits are Flink's units from the largest, with the spelling that is
// printed first.
var durationUnits = []struct {
	unit      time.Duration
	spellings []string
}{
	{24 * time.Hour, []string{"d", "day", "days"}},
	{time.Hour, []string{"h", "hour", "hours"}},
	{time.Minute, []string{"min", "m", "minute", "minutes"}},
	{time.Second, []string{"s", "sec", "secs", "second", "seconds"}},
	{time.Millisecond, []string{"ms", "milli", "millis", "millisecond", "milliseconds"}},
	// The sign of micro is U+00B5 on keyboards; U+03BC is the Greek letter, which looks the same.
	{time.Microsecond, []string{"µs", "μs", "micro", "micros", "microsecond", "microseconds"}},
	{time.Nanosecond, []string{"ns", "nano", "nanos", "nanosecond", "nanoseconds"}},
}

// ParseDuration reads a duration in Flink's syntax: a whole number that is not
// negative, optional space, and an optional unit in upper or lower case (ns,
// µs, ms, s, min, h, d and their long forms). A number without a unit is in
// milliseconds.
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	if end == 0 {
		return 0, fmt.Errorf("%q does not start with a whole number", clip(text))
	}
	value, err := strconv.ParseInt(text[:end], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is longer than a duration can be", clip(text))
	}
	unit, err := durationUnit(strings.TrimSpace(text[end:]))
	if err != nil {
		return 0, err
	}
	if value > math.MaxInt64/int64(unit) {
		return 0, fmt.Errorf("%q is longer than a duration can be", clip(text))
	}
	return time.Duration(value) * unit, nil
}

func durationUnit(text string) (time.Duration, error) {
	if text == "" {
		return time.Millisecond, nil
	}
	lower := strings.ToLower(text)
	for _, u := range durationUnits {
		for _, spelling := range u.spellings {
			if lower == spelling {
				return u.unit, nil
			}
		}
	}
	if lower[0] == '.' || lower[0] == ',' {
		return 0, fmt.Errorf("a duration is a whole number: write 1500 ms for 1.5 s")
	}
	return 0, fmt.Errorf("%q is not a unit of time: want ns, µs, ms, s, min, h or d", clip(text))
}

// FormatDuration returns the duration as Flink prints it, in the largest unit
// that leaves a whole number: "10 s", "90 min". [ParseDuration] reads it back
// when it is not negative.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0 ms"
	}
	for _, u := range durationUnits {
		if d%u.unit == 0 {
			return fmt.Sprintf("%d %s", int64(d/u.unit), u.spellings[0])
		}
	}
	return d.String()
}
