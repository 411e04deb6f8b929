package memory_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/memory"
	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0":                   0,
		"1024":                1024,
		" 7 ":                 7,
		"12b":                 12,
		"12 bytes":            12,
		"3k":                  3072,
		"3 KB":                3072,
		"3kibibytes":          3072,
		"64m":                 67108864,
		"64 mb":               67108864,
		"64\tMebiBytes":       67108864,
		"1g":                  1073741824,
		"2 GB":                2147483648,
		"2gibibytes":          2147483648,
		"1t":                  1099511627776,
		"1tb":                 1099511627776,
		"1 tebibytes":         1099511627776,
		"9223372036854775807": 9223372036854775807,
		"8388607 tb":          9223370937343148032,
	} {
		got, err := memory.ParseSize(text)
		if err != nil || int64(got) != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, int64(got), err, want)
		}
	}
}

func TestParseSizeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "does not start with a whole number",
		"   ":                   "does not start with a whole number",
		"mb":                    "does not start with a whole number",
		"-1":                    "does not start with a whole number",
		"+1":                    "does not start with a whole number",
		"1.5g":                  "whole number: write 1536m for 1.5g",
		"1,5g":                  "whole number: write 1536m for 1.5g",
		"1 mib":                 `"mib" is not a unit of memory`,
		"1 m b":                 `"m b" is not a unit of memory`,
		"1 0":                   `"0" is not a unit of memory`,
		"1e3":                   `"e3" is not a unit of memory`,
		"9223372036854775808":   "larger than a memory size can be",
		"8388608 tb":            "larger than a memory size can be",
		strings.Repeat("9", 99): "larger than a memory size can be",
	} {
		got, err := memory.ParseSize(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSize(%q) = %d, %v, want an error with %q", text, int64(got), err, want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[memory.Size]string{
		0:                          "0 bytes",
		1:                          "1 bytes",
		1023:                       "1023 bytes",
		1024:                       "1 kb",
		1536:                       "1536 bytes",
		32 * memory.KiB:            "32 kb",
		64 * memory.MiB:            "64 mb",
		1728 * memory.MiB:          "1728 mb",
		memory.GiB:                 "1 gb",
		5 * memory.TiB:             "5 tb",
		-3 * memory.MiB:            "-3 mb",
		memory.MaxSize:             "9223372036854775807 bytes",
		memory.GiB + memory.KiB:    "1048577 kb",
		2048*memory.TiB + 1:        "2251799813685249 bytes",
		-(memory.GiB + memory.KiB): "-1048577 kb",
	} {
		if got := size.String(); got != want {
			t.Errorf("Size(%d).String() = %q, want %q", int64(size), got, want)
		}
	}
	for size, want := range map[memory.Size]string{
		64 * memory.MiB:   "64 mb",
		32 * memory.KiB:   "32 kb",
		1200 * memory.KiB: "1200 kb",
		161061273:         "153.600mb (161061273 bytes)",
		-161061273:        "-153.600mb (161061273 bytes)",
		-25 * memory.KiB:  "-25 kb",
		4097:              "4097 bytes",
		10*memory.KiB + 1: "10.001kb (10241 bytes)",
	} {
		if got := size.Readable(); got != want {
			t.Errorf("Size(%d).Readable() = %q, want %q", int64(size), got, want)
		}
	}
}

// TestSizeRoundTrip: what String prints, ParseSize reads.
func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := memory.Size(rapid.Int64Min(0).Draw(t, "size")) >> rapid.IntRange(0, 62).Draw(t, "shift") << rapid.SampledFrom([]int{0, 10}).Draw(t, "unit")
		if size < 0 {
			t.Skip("shifted out of range")
		}
		got, err := memory.ParseSize(size.String())
		if err != nil || got != size {
			t.Fatalf("ParseSize(%q) = %d, %v, want %d", size.String(), int64(got), err, int64(size))
		}
	})
}

// FuzzParseSize: no text makes the parser panic; what it accepts is what exact
// arithmetic on the same digits gives, and prints as something it reads again.
func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"", "0", "64 mb", "1.5g", "9223372036854775807", "8388608tb", "1 kibibytes", "٣ mb", "1\u212a", "00000000000000000000001k"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := memory.ParseSize(text)
		if err != nil {
			if len(err.Error()) > 500 { // Up to 80 bytes are quoted, each as four characters at most.
				t.Errorf("the error for a text of %d bytes has %d bytes", len(text), len(err.Error()))
			}
			return
		}
		trimmed := strings.TrimSpace(text)
		digits := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "0123456789"))]
		value, ok := new(big.Int).SetString(digits, 10)
		if !ok {
			t.Fatalf("ParseSize(%q) = %d without digits", text, int64(size))
		}
		shift := map[byte]uint{'k': 10, 'm': 20, 'g': 30, 't': 40}
		unit := strings.ToLower(strings.TrimSpace(trimmed[len(digits):]))
		if unit != "" {
			value.Lsh(value, shift[unit[0]])
		}
		if value.Cmp(big.NewInt(int64(size))) != 0 {
			t.Errorf("ParseSize(%q) = %d, want %v", text, int64(size), value)
		}
		if again, err := memory.ParseSize(size.String()); err != nil || again != size {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", size.String(), int64(again), err, int64(size))
		}
	})
}
