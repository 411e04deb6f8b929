package shuffle

import (
	"testing"

	"pgregory.net/rapid"
)

// checkLedger verifies that every buffer is in one place, that no channel has
// less than its exclusive buffers, that nobody waits for what is there, and
// that the count of dry channels is right.
func checkLedger(t *rapid.T, l *ledger, buffers int) {
	t.Helper()
	sum, dry, waiting := l.floating, int32(0), 0
	if l.floating < 0 {
		t.Fatalf("%d buffers float", l.floating)
	}
	for c := range l.channels {
		a := &l.channels[c]
		if a.outstanding < 0 || a.pending < 0 || a.inUse < 0 {
			t.Fatalf("channel %d: outstanding %d, pending %d, in use %d", c, a.outstanding, a.pending, a.inUse)
		}
		if !a.ended && a.held() < l.exclusive {
			t.Fatalf("channel %d holds %d buffers of %d exclusive ones", c, a.held(), l.exclusive)
		}
		if a.ended && a.outstanding+a.pending > 0 {
			t.Fatalf("channel %d has ended and has credit for %d", c, a.outstanding+a.pending)
		}
		if l.short(a) && l.floating > 0 {
			t.Fatalf("channel %d goes short of buffers while %d float", c, l.floating)
		}
		if l.short(a) && !a.waiting {
			t.Fatalf("channel %d goes short and does not wait", c)
		}
		if a.waiting {
			waiting++
		}
		if a.isDry() {
			dry++
		}
		sum += a.held()
	}
	if int(sum) != buffers {
		t.Fatalf("%d of %d buffers are accounted for", sum, buffers)
	}
	if waiting != l.waiting.len() {
		t.Fatalf("%d channels say that they wait, %d are in line", waiting, l.waiting.len())
	}
	if dry != l.dry {
		t.Fatalf("%d channels are dry, %d counted", dry, l.dry)
	}
}

func TestLedgerKeepsEveryBufferInOnePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 5).Draw(t, "channels")
		exclusive := rapid.IntRange(1, 4).Draw(t, "exclusive")
		buffers := channels*exclusive + rapid.IntRange(0, 8).Draw(t, "floating")
		l := newLedger(channels, exclusive, buffers)
		credit := make([]int, channels) // of the senders
		inUse := make([]int, channels)
		channel := rapid.IntRange(0, channels-1)
		drain := func() {
			for l.grant() >= 0 {
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"announce": func(t *rapid.T) {
				c := channel.Draw(t, "channel")
				credit[c] += l.announce(c)
			},
			"receive": func(t *rapid.T) {
				c := channel.Draw(t, "channel")
				backlog := rapid.Uint32Range(0, 20).Draw(t, "backlog")
				err := l.receive(c, backlog)
				if want := credit[c] > 0 && !l.channels[c].ended; (err == nil) != want {
					t.Fatalf("a frame on channel %d with credit %d: %v", c, credit[c], err)
				}
				if err == nil {
					credit[c]--
					inUse[c]++
				}
			},
			"recycle": func(t *rapid.T) {
				c := channel.Draw(t, "channel")
				if inUse[c] == 0 {
					return // nothing in use
				}
				inUse[c]--
				l.recycle(c)
			},
			"end": func(t *rapid.T) {
				l.end(channel.Draw(t, "channel"))
				drain()
			},
			"": func(t *rapid.T) {
				checkLedger(t, &l, buffers)
				for c := range credit {
					a := &l.channels[c]
					if !a.ended && credit[c] != int(a.outstanding) || inUse[c] != int(a.inUse) {
						t.Fatalf("channel %d: credit %d outstanding %d, in use %d counted %d", c, credit[c], a.outstanding, inUse[c], a.inUse)
					}
				}
			},
		})
	})
}

// TestLedgerFollowsTheBacklog pins the rules of Flink that its metrics are
// defined by: a backlog of b asks for b buffers beside the exclusive ones.
func TestLedgerFollowsTheBacklog(t *testing.T) {
	l := newLedger(2, 2, 4+5)
	if got := l.announce(0) + l.announce(1); got != 4 {
		t.Fatalf("%d credits at first, want the 4 exclusive ones", got)
	}
	receive := func(c int, backlog uint32) {
		t.Helper()
		if err := l.receive(c, backlog); err != nil {
			t.Fatal(err)
		}
	}
	receive(0, 3)
	// One is outstanding; 3+2 are wanted.
	if got := l.channels[0].pending; got != 4 {
		t.Fatalf("a backlog of 3 got %d floating buffers, want 4", got)
	}
	receive(1, 9)
	if got := l.channels[1].pending; got != 1 {
		t.Fatalf("a backlog of 9 got %d floating buffers, want the last one", got)
	}
	l.announce(0)
	l.announce(1)
	// Channel 1 waits: the floating buffer that channel 0 holds in excess of
	// its exclusive ones goes there when it comes back.
	if got := l.recycle(0); got != 1 {
		t.Fatalf("the buffer of channel 0 went to channel %d, want 1, which waits", got)
	}
	if got := l.recycle(1); got != 1 {
		t.Fatalf("the buffer of channel 1 went to channel %d, want 1, the only one that waits", got)
	}
}

func TestLedgerSharesFloatingBuffersInTurn(t *testing.T) {
	l := newLedger(3, 1, 3+6)
	for c := range 3 {
		l.announce(c)
	}
	got := make([]int, 3)
	for c := range 3 {
		if err := l.receive(c, 100); err != nil {
			t.Fatal(err)
		}
	}
	// Channel 0 came first and took all six. Each buffer that comes back from
	// then on goes to whoever has waited longest.
	for range 6 {
		l.announce(0)
		if err := l.receive(0, 100); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		c := l.recycle(0)
		if c < 0 {
			t.Fatal("a buffer floats while channels wait")
		}
		got[c]++
	}
	if got[0] != 2 || got[1] != 2 || got[2] != 2 {
		t.Fatalf("six buffers were given to the channels as %v, want two each", got)
	}
}

func TestLedgerForgetsAnOldBacklog(t *testing.T) {
	l := newLedger(1, 2, 10)
	l.announce(0)
	frame := func(backlog uint32) {
		t.Helper()
		if err := l.receive(0, backlog); err != nil {
			t.Fatal(err)
		}
		l.recycle(0)
		l.announce(0)
	}
	frame(8)
	if l.channels[0].outstanding != 10 {
		t.Fatalf("a backlog of 8 got %d credits, want all 10", l.channels[0].outstanding)
	}
	for range demandPeriod + demandPeriod/2 {
		frame(0)
	}
	if l.channels[0].outstanding != 10 {
		t.Fatalf("one and a half periods later there are %d credits, want all 10 still", l.channels[0].outstanding)
	}
	for range 2 * demandPeriod {
		frame(0)
	}
	if l.channels[0].outstanding != 2 || l.floating != 8 {
		t.Fatalf("two periods later there are %d credits and %d float, want 2 and 8", l.channels[0].outstanding, l.floating)
	}
}

func TestLedgerAnnouncesByHalves(t *testing.T) {
	l := newLedger(1, 8, 8)
	if !l.urgent(0, false) {
		t.Fatal("the first credit is not urgent")
	}
	l.announce(0)
	for range 8 {
		if err := l.receive(0, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= 3; i++ {
		l.recycle(0)
		if l.urgent(0, false) {
			t.Fatalf("%d of 8 are urgent", i)
		}
		if !l.urgent(0, true) {
			t.Fatalf("%d of 8 are not urgent though the sender has none and the task is idle", i)
		}
	}
	l.recycle(0)
	if !l.urgent(0, false) {
		t.Fatal("4 of 8 are not urgent")
	}
	l.announce(0)
	l.recycle(0)
	if l.urgent(0, true) {
		t.Fatal("one of 8 is urgent though the sender has 4")
	}
}

// TestLedgerAnnouncesFloatingBuffersAtOnce verifies that a sender with a
// backlog does not wait for its floating buffers until something is recycled.
func TestLedgerAnnouncesFloatingBuffersAtOnce(t *testing.T) {
	l := newLedger(1, 8, 9)
	l.announce(0)
	for range 6 {
		if err := l.receive(0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if a := l.channels[0]; a.pending != 1 || !l.urgent(0, false) {
		t.Fatalf("six of eight exclusive buffers are used and one floats: pending %d, urgent %v", a.pending, l.urgent(0, false))
	}
	l.announce(0)
	l.recycle(0)
	if l.channels[0].pending != 1 || l.urgent(0, false) {
		t.Fatal("the buffer that came back is urgent since a floating one once was")
	}
}
