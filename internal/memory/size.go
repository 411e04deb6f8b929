package memory

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. It prints as Flink prints a memory size, in the
// largest unit that leaves a whole number: "64 mb", "1536 bytes".
type Size int64

// The units of memory sizes. All of them are powers of 1024, as in Flink,
// however they are spelled.
const (
	Byte Size = 1
	KiB       = 1024 * Byte
	MiB       = 1024 * KiB
	GiB       = 1024 * MiB
	TiB       = 1024 * GiB
)

// MaxSize is the largest size that can be expressed.
const MaxSize Size = math.MaxInt64

// sizeUnits are the units from the largest, with the spelling that is printed
// first and then the others that are read.
var sizeUnits = []struct {
	size      Size
	spellings []string
}{
	{TiB, []string{"tb", "t", "tebibytes"}},
	{GiB, []string{"gb", "g", "gibibytes"}},
	{MiB, []string{"mb", "m", "mebibytes"}},
	{KiB, []string{"kb", "k", "kibibytes"}},
	{Byte, []string{"bytes", "b"}},
}

// ParseSize reads a memory size in Flink's syntax: a whole number, optional
// space, and an optional unit in upper or lower case (b, bytes; k, kb,
// kibibytes; m, mb, mebibytes; g, gb, gibibytes; t, tb, tebibytes). A number
// without a unit is in bytes. Anything else, such as a fraction, a sign or a
// number beyond 64 bits, is an error that says what is wrong with it.
func ParseSize(text string) (Size, error) {
	number, unit := splitNumber(text)
	if number == "" {
		return 0, fmt.Errorf("%q does not start with a whole number", clip(text))
	}
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is larger than a memory size can be", clip(text))
	}
	factor, err := sizeUnit(unit)
	if err != nil {
		return 0, err
	}
	if value > int64(MaxSize/factor) {
		return 0, fmt.Errorf("%q is larger than a memory size can be", clip(text))
	}
	return Size(value) * factor, nil
}

func sizeUnit(unit string) (Size, error) {
	if unit == "" {
		return Byte, nil
	}
	for _, u := range sizeUnits {
		for _, spelling := range u.spellings {
			if strings.EqualFold(unit, spelling) {
				return u.size, nil
			}
		}
	}
	if unit[0] == '.' || unit[0] == ',' {
		return 0, fmt.Errorf("a memory size is a whole number: write 1536m for 1.5g")
	}
	return 0, fmt.Errorf("%q is not a unit of memory: want b, kb, mb, gb or tb", clip(unit))
}

// splitNumber cuts text into its leading digits and, without the space around
// it, what follows them.
func splitNumber(text string) (number, unit string) {
	text = strings.TrimSpace(text)
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	return text[:end], strings.TrimSpace(text[end:])
}

// clip shortens foreign text for an error message.
func clip(text string) string {
	const limit = 80
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// String returns the size as Flink prints it; [ParseSize] reads it back.
func (s Size) String() string {
	if s != 0 {
		for _, u := range sizeUnits {
			if s%u.size == 0 {
				return fmt.Sprintf("%d %s", int64(s/u.size), u.spellings[0])
			}
		}
	}
	return fmt.Sprintf("%d bytes", int64(s))
}

// Readable returns the size for messages in which 161061273 bytes would tell
// nobody anything: "153.600mb (161061273 bytes)", with three decimals of the
// largest unit. A size that prints in a larger unit than bytes, or is below 10
// KiB, prints as with [Size.String].
func (s Size) Readable() string {
	if s < 0 && -s > 0 { // The smallest number of 64 bits has no counterpart.
		return "-" + (-s).Readable()
	}
	if s%KiB == 0 || s < 10*KiB {
		return s.String()
	}
	for _, u := range sizeUnits {
		if s > u.size {
			return fmt.Sprintf("%.3f%s (%d bytes)", float64(s)/float64(u.size), u.spellings[0], int64(s))
		}
	}
	return s.String()
}
