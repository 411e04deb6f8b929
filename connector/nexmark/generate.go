package nexmark

// gamma is 2⁶⁴ divided by the golden ratio: the distance of two draws.
const gamma = 0x9E3779B97F4A7C15

// mix spreads a number over all 64 bits. It is the finisher of SplitMix64
// (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
// OOPSLA 2014).
func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}

// draws is the state of one event. It never changes: each field of the event has
// draws of its own, by number.
type draws uint64

// drawsOf returns the state of an event, given mix of the seed.
func drawsOf(mixedSeed, event uint64) draws { return draws(mix(mixedSeed + event)) }

// draw returns draw number d, in 0 … n-1, for n below 2³¹.
func (s draws) draw(d, n uint64) uint64 {
	return ((mix(uint64(s)+(d+1)*gamma) >> 32) * n) >> 32
}

// price returns cents, from draws d and d+1: 100 … 104,857,599, each power of
// two equally likely.
func (s draws) price(d uint64) uint64 {
	least := uint64(100) << s.draw(d, 20)
	return least + s.draw(d+1, least)
}

// appendText appends 3 to limit-1 characters, as many as draw d says, from draws c
// and following: letters, and special ones in between.
func (s draws) appendText(dst []byte, d, c, limit uint64, special byte) []byte {
	length := 3 + s.draw(d, limit-3)
	for i := range length {
		v := s.draw(c+i, 338)
		if v < 26 && i > 0 && i < length-1 {
			dst = append(dst, special)
		} else {
			dst = append(dst, 'a'+byte(v%26))
		}
	}
	return dst
}

// extra returns what brings an event of a size to the wanted one, give or take a
// fifth of what is missing. wanted is more than size.
func (s draws) extra(pool string, size, wanted uint64) string {
	missing := wanted - size
	delta := (missing + 2) / 5
	length := missing - delta + s.draw(10, 2*delta)
	start := s.draw(11, poolSize-length)
	return pool[start : start+length]
}

const (
	round        = 50   // events: one person, three auctions, then bids
	auctions     = 3    // of a round
	firstID      = 1000 // is added to the number of a person or an auction
	activePeople = 1000 // the newest people, who act
	behind       = 100  // how far a bid reaches behind the newest auction
	ahead        = 10   // how far a reference reaches beyond the newest
	hot          = 100  // of so many people or auctions in a row one is hot
	openAuctions = 1666 // events in the time after which half of the auctions have expired
)

// lastPerson returns the number of the newest person at event e.
func lastPerson(e uint64) uint64 { return e / round }

// lastAuction returns the number of the newest auction at event e, which is no
// person.
func lastAuction(e uint64) uint64 { return auctions*(e/round) + min(e%round-1, auctions-1) }

// anyPerson returns the number of one of the active people, or of one yet to
// come, by draw d.
func (s draws) anyPerson(e, d uint64) uint64 {
	n := lastPerson(e) + 1
	active := min(n, activePeople)
	return n - active + s.draw(d, active+ahead)
}

// maker makes events, each from its number alone.
type maker struct {
	mixedSeed uint64
	rate      uint64 // events per second of event time
	base      int64  // the time of event 0, in ms since 1970
	tables    *tables
}

// time returns the event time of event e, in ms since 1970.
func (m *maker) time(e uint64) int64 { return m.base + int64(e*1000/m.rate) }

// make stores event e in ev.
func (m *maker) make(ev *Event, e uint64) {
	s := drawsOf(m.mixedSeed, e)
	ev.Seq = int64(e)
	ev.DateTime = m.time(e)
	switch position := e % round; {
	case position > auctions:
		ev.Kind, ev.Auction, ev.Person = KindBid, nil, nil
		m.makeBid(ev, s, e)
	case position > 0:
		ev.Kind, ev.Bid, ev.Auction, ev.Person = KindAuction, Bid{}, m.newAuction(s, e), nil
	default:
		ev.Kind, ev.Bid, ev.Auction, ev.Person = KindPerson, Bid{}, nil, m.newPerson(s, e)
	}
}

// makeBid sets all fields of the event's bid.
func (m *maker) makeBid(ev *Event, s draws, e uint64) {
	b := &ev.Bid
	b.Seq = ev.Seq
	b.DateTime = ev.DateTime

	newest := lastAuction(e)
	auction := newest / hot * hot
	if s.draw(0, 2) == 0 {
		oldest := newest - min(newest, behind)
		auction = oldest + s.draw(1, newest-oldest+1+ahead)
	}
	b.Auction = int64(firstID + auction)

	bidder := lastPerson(e)/hot*hot + 1
	if s.draw(2, 4) == 0 {
		bidder = s.anyPerson(e, 3)
	}
	b.Bidder = int64(firstID + bidder)

	b.Price = int64(s.price(4))
	if s.draw(6, 2) > 0 {
		channel := s.draw(7, hotChannels)
		b.Channel, b.URL = hotChannel[channel], m.tables.hotURL[channel]
	} else {
		channel := s.draw(7, channels)
		b.Channel, b.URL = m.tables.channel[channel], m.tables.url[channel]
	}
	b.Extra = s.extra(m.tables.pool, 32, 100)
}

func (m *maker) newAuction(s draws, e uint64) *Auction {
	var space [20 + 100]byte
	name := s.appendText(space[:0], 8, 16, 20, ' ')
	both := string(s.appendText(name, 9, 64, 100, ' ')) // two strings in one allocation
	a := &Auction{
		Seq:         int64(e),
		DateTime:    m.time(e),
		ID:          int64(firstID + lastAuction(e)),
		ItemName:    both[:len(name)],
		Description: both[len(name):],
		InitialBid:  int64(s.price(3)),
		Category:    int64(10 + s.draw(2, 5)),
		Extra:       s.extra(m.tables.pool, 48+uint64(len(both)), 500),
	}
	a.Reserve = a.InitialBid + int64(s.price(5))
	open := uint64(m.time(e+openAuctions) - a.DateTime)
	a.Expires = a.DateTime + 1 + int64(s.draw(7, max(2*open, 1)))
	seller := lastPerson(e) / hot * hot
	if s.draw(0, 4) == 0 {
		seller = s.anyPerson(e, 1)
	}
	a.Seller = int64(firstID + seller)
	return a
}

func (m *maker) newPerson(s draws, e uint64) *Person {
	var space [7 + len("@") + 5 + len(".com") + len("1234 1234 1234 1234")]byte
	email := s.appendText(space[:0], 8, 16, 7, '.')
	email = append(email, '@')
	email = s.appendText(email, 9, 32, 5, '.')
	email = append(email, ".com"...)
	both := email
	for d := range uint64(4) {
		if d > 0 {
			both = append(both, ' ')
		}
		n := s.draw(4+d, 10_000)
		both = append(both, '0'+byte(n/1000), '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
	}
	text := string(both) // two strings in one allocation
	p := &Person{
		Seq:          int64(e),
		DateTime:     m.time(e),
		ID:           int64(firstID + lastPerson(e)),
		Name:         m.tables.name[s.draw(0, firstNames)*lastNames+s.draw(1, lastNames)],
		EmailAddress: text[:len(email)],
		CreditCard:   text[len(email):],
		City:         cities[s.draw(2, uint64(len(cities)))],
		State:        states[s.draw(3, uint64(len(states)))],
	}
	size := 8 + len(p.Name) + len(text) + len(p.City) + len(p.State)
	p.Extra = s.extra(m.tables.pool, uint64(size), 200)
	return p
}
