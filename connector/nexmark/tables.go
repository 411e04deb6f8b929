package nexmark

import (
	"math/bits"
	"strconv"
	"sync"
)

const (
	tableSeed   = 0x6E65786D61726B
	poolSize    = 1 << 16
	channels    = 10_000
	maxURL      = len("https://www.nexmark.com/12345/12345/12345/item.htm?query=1&channel_id=2147483648")
	maxChannel  = len("channel-9999")
	hotChannels = 4
	firstNames  = 11
	lastNames   = 9
)

// tables are what all events take their text from, the same for every seed.
type tables struct {
	pool string // random letters

	url     [channels]string
	channel [channels]string
	hotURL  [hotChannels]string

	name [firstNames * lastNames]string // first name times lastNames, plus last name
}

var (
	hotChannel = [hotChannels]string{"Google", "Facebook", "Baidu", "Apple"}
	first      = [firstNames]string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	last       = [lastNames]string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	cities     = [...]string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	states     = [...]string{"AZ", "CA", "ID", "OR", "WA", "WY"}
)

// sharedTables returns the tables. They are made once in a process, about 1 MB
// in about a millisecond.
var sharedTables = sync.OnceValue(makeTables)

func makeTables() *tables {
	t := new(tables)

	letters := make([]byte, poolSize)
	draws := drawsOf(mix(tableSeed), 0)
	for i := range letters {
		letters[i] = 'a' + byte(draws.draw(uint64(i), 26))
	}
	t.pool = string(letters)

	var text cutter
	text.bytes = make([]byte, 0, (channels+hotChannels)*maxURL+channels*maxChannel)
	for i := range channels {
		draws := drawsOf(mix(tableSeed), 1+uint64(i))
		text.bytes = appendURL(text.bytes, draws)
		if draws.draw(3, 10) > 0 {
			text.bytes = append(text.bytes, "&channel_id="...)
			text.bytes = strconv.AppendInt(text.bytes, channelID(uint32(i)), 10)
		}
		text.cut(&t.url[i])
		text.bytes = append(text.bytes, "channel-"...)
		text.bytes = strconv.AppendInt(text.bytes, int64(i), 10)
		text.cut(&t.channel[i])
	}
	for j := range t.hotURL {
		text.bytes = appendURL(text.bytes, drawsOf(mix(tableSeed), 1+channels+uint64(j)))
		text.cut(&t.hotURL[j])
	}
	for f := range first {
		for l := range last {
			text.bytes = append(append(append(text.bytes, first[f]...), ' '), last[l]...)
			text.cut(&t.name[f*lastNames+l])
		}
	}
	text.finish()
	return t
}

// channelID returns the absolute value of the 32 bits of a channel's number in
// reverse order.
func channelID(channel uint32) int64 {
	id := int64(int32(bits.Reverse32(channel)))
	return max(id, -id)
}

func appendURL(dst []byte, d draws) []byte {
	dst = append(dst, "https://www.nexmark.com/"...)
	dst = d.appendText(dst, 0, 16, 5, '_')
	dst = append(dst, '/')
	dst = d.appendText(dst, 1, 32, 5, '_')
	dst = append(dst, '/')
	dst = d.appendText(dst, 2, 48, 5, '_')
	return append(dst, "/item.htm?query=1"...)
}

// cutter makes many strings that are parts of one.
type cutter struct {
	bytes []byte
	parts []part
}

type part struct {
	to  *string
	end int
}

// cut makes what was appended since the last cut the string of to, when the
// cutter is finished.
func (c *cutter) cut(to *string) { c.parts = append(c.parts, part{to, len(c.bytes)}) }

func (c *cutter) finish() {
	all, start := string(c.bytes), 0
	for _, p := range c.parts {
		*p.to = all[start:p.end]
		start = p.end
	}
}
