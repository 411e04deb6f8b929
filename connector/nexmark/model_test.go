package nexmark_test

import (
	"fmt"
	"math/big"
	"strings"
)

// model is a second generator, apart from the first: strings and formulas as
// they are written down, without regard to speed. It returns lines of JSON.
type model struct {
	seed uint64
	rate uint64
	base int64
}

type modelState uint64

func modelMix(z uint64) uint64 {
	z ^= z >> 30
	z *= 0xBF58476D1CE4E5B9
	z ^= z >> 27
	z *= 0x94D049BB133111EB
	z ^= z >> 31
	return z
}

func newModelState(seed, e uint64) modelState {
	return modelState(modelMix(modelMix(seed) + e))
}

// u is draw number d, of 0 … n-1.
func (s modelState) u(d, n int) int {
	g, _ := new(big.Int).SetString("9E3779B97F4A7C15", 16)
	g.Mul(g, big.NewInt(int64(d+1)))
	g.Add(g, new(big.Int).SetUint64(uint64(s)))
	g.And(g, new(big.Int).SetUint64(1<<64-1))
	high := modelMix(g.Uint64()) / (1 << 32)
	return int(high * uint64(n) / (1 << 32))
}

func (s modelState) price(d int) int {
	base := 100
	for range s.u(d, 20) {
		base *= 2
	}
	return base + s.u(d+1, base)
}

func (s modelState) text(d, c, most int, special string) string {
	var b strings.Builder
	n := 3 + s.u(d, most-3)
	for i := range n {
		switch v := s.u(c+i, 338); {
		case v >= 26 || i == 0 || i == n-1:
			b.WriteString("abcdefghijklmnopqrstuvwxyz"[v%26 : v%26+1])
		default:
			b.WriteString(special)
		}
	}
	return b.String()
}

const modelTables = 0x6E65786D61726B

var modelPool = func() string {
	s := newModelState(modelTables, 0)
	b := make([]byte, 65536)
	for i := range b {
		b[i] = 'a' + byte(s.u(i, 26))
	}
	return string(b)
}()

func (s modelState) extra(size, wanted int) string {
	m := wanted - size
	delta := (m + 2) / 5
	n := m - delta + s.u(10, 2*delta)
	p := s.u(11, 65536-n)
	return modelPool[p : p+n]
}

// modelURL is the URL of a channel's number; hot ones, from 10,000 on, have no
// channel_id.
func modelURL(i int) string {
	s := newModelState(modelTables, uint64(1+i))
	url := "https://www.nexmark.com/" + s.text(0, 16, 5, "_") + "/" + s.text(1, 32, 5, "_") + "/" + s.text(2, 48, 5, "_") + "/item.htm?query=1"
	if i >= 10_000 || s.u(3, 10) == 0 {
		return url
	}
	var reversed int64
	for bit := range 32 {
		if i>>bit&1 == 1 {
			reversed += 1 << (31 - bit)
		}
	}
	if reversed >= 1<<31 {
		reversed = 1<<32 - reversed
	}
	return fmt.Sprintf("%s&channel_id=%d", url, reversed)
}

func (m model) time(e uint64) int64 { return m.base + int64(e*1000/m.rate) }

func lastPersonOf(e uint64) int { return int(e / 50) }

func lastAuctionOf(e uint64) int {
	return 3*int(e/50) + min(int(e%50)-1, 2)
}

func (s modelState) anyPerson(e uint64, d int) int {
	n := lastPersonOf(e) + 1
	a := min(n, 1000)
	return n - a + s.u(d, a+10)
}

func (m model) line(e uint64) string {
	s := newModelState(m.seed, e)
	switch e % 50 {
	case 0:
		return m.person(e, s)
	case 1, 2, 3:
		return m.auction(e, s)
	default:
		return m.bid(e, s)
	}
}

func (m model) person(e uint64, s modelState) string {
	name := strings.Fields("Peter Paul Luke John Saul Vicky Kate Julie Sarah Deiter Walter")[s.u(0, 11)] +
		" " + strings.Fields("Shultz Abrams Spencer White Bartels Walton Smith Jones Noris")[s.u(1, 9)]
	email := s.text(8, 16, 7, ".") + "@" + s.text(9, 32, 5, ".") + ".com"
	card := fmt.Sprintf("%04d %04d %04d %04d", s.u(4, 10000), s.u(5, 10000), s.u(6, 10000), s.u(7, 10000))
	city := strings.Split("Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne", ",")[s.u(2, 10)]
	state := strings.Fields("AZ CA ID OR WA WY")[s.u(3, 6)]
	return fmt.Sprintf(`{"type":"person","seq":%d,"dateTime":%d,"id":%d,"name":"%s","emailAddress":"%s","creditCard":"%s","city":"%s","state":"%s","extra":"%s"}`,
		e, m.time(e), lastPersonOf(e)+1000, name, email, card, city, state,
		s.extra(8+len(name)+len(email)+len(card)+len(city)+len(state), 200))
}

func (m model) auction(e uint64, s modelState) string {
	item, description := s.text(8, 16, 20, " "), s.text(9, 64, 100, " ")
	initial := s.price(3)
	h := int(m.time(e+1666) - m.time(e))
	seller := lastPersonOf(e) / 100 * 100
	if s.u(0, 4) == 0 {
		seller = s.anyPerson(e, 1)
	}
	return fmt.Sprintf(`{"type":"auction","seq":%d,"dateTime":%d,"id":%d,"itemName":"%s","description":"%s","initialBid":%d,"reserve":%d,"expires":%d,"seller":%d,"category":%d,"extra":"%s"}`,
		e, m.time(e), lastAuctionOf(e)+1000, item, description, initial, initial+s.price(5),
		m.time(e)+1+int64(s.u(7, max(2*h, 1))), seller+1000, 10+s.u(2, 5),
		s.extra(48+len(item)+len(description), 500))
}

func (m model) bid(e uint64, s modelState) string {
	l := lastAuctionOf(e)
	auction := l / 100 * 100
	if s.u(0, 2) == 0 {
		least := max(l-100, 0)
		auction = least + s.u(1, l-least+11)
	}
	bidder := lastPersonOf(e)/100*100 + 1
	if s.u(2, 4) == 0 {
		bidder = s.anyPerson(e, 3)
	}
	var channel, url string
	if s.u(6, 2) > 0 {
		j := s.u(7, 4)
		channel, url = strings.Fields("Google Facebook Baidu Apple")[j], modelURL(10_000+j)
	} else {
		i := s.u(7, 10000)
		channel, url = fmt.Sprintf("channel-%d", i), modelURL(i)
	}
	return fmt.Sprintf(`{"type":"bid","seq":%d,"dateTime":%d,"auction":%d,"bidder":%d,"price":%d,"channel":"%s","url":"%s","extra":"%s"}`,
		e, m.time(e), auction+1000, bidder+1000, s.price(4), channel, url, s.extra(32, 100))
}
