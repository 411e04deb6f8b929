package taskmanager

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/ids"
)

// The ledger agrees with a model that only knows who holds how many slots.
func TestLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 6).Draw(t, "slots")
		l := newLedger(slots)
		model := map[attempt][]int{}
		a := rapid.Custom(func(t *rapid.T) attempt {
			return attempt{ids.JobID{byte(rapid.IntRange(1, 3).Draw(t, "job"))}, ids.Attempt(rapid.IntRange(1, 3).Draw(t, "attempt"))}
		})
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				a, n := a.Draw(t, "who"), rapid.IntRange(0, 7).Draw(t, "how many")
				got, err := l.take(a, n)
				stale, used := false, 0
				for other, held := range model {
					stale = stale || other.job == a.job && other.number >= a.number
					used += len(held)
				}
				if errors.Is(err, errStale) != stale {
					t.Fatalf("%s takes %d: %v; stale: %t", a, n, err, stale)
				}
				if fits := n > 0 && used+n <= slots; (err == nil) != (fits && !stale) {
					t.Fatalf("%s takes %d with %d of %d used: %v", a, n, used, slots, err)
				}
				if err == nil {
					model[a] = got
				} else if len(got) > 0 {
					t.Fatalf("%s takes %d: %v and %v", a, n, got, err)
				}
			},
			"release": func(t *rapid.T) {
				a := a.Draw(t, "who")
				l.release(a)
				delete(model, a)
			},
			"": func(t *rapid.T) {
				var all []int
				for _, held := range model {
					all = append(all, held...)
				}
				all = append(all, l.free...)
				slices.Sort(all)
				for i := range slots {
					if len(all) != slots || all[i] != i {
						t.Fatalf("held and free together are %v of %d slots", all, slots)
					}
				}
			},
		})
	})
}

func TestFence(t *testing.T) {
	f := fence{session: ids.NewSessionID(), epoch: 3}
	other := ids.NewSessionID()
	for _, test := range []struct {
		session []byte
		epoch   uint64
		admit   bool
	}{
		{f.session[:], 3, true},
		{f.session[:], 2, false},
		{f.session[:], 4, false},
		{other[:], 3, false},
		{nil, 3, false},
		{f.session[:15], 3, false},
	} {
		if err := f.admit(test.session, test.epoch); (err == nil) != test.admit {
			t.Errorf("session %x, epoch %d: %v", test.session, test.epoch, err)
		}
	}
}

func TestRegistrationBackOff(t *testing.T) {
	const ms = time.Millisecond
	var defaults RegistrationConfig
	defaults.setDefaults()
	for _, test := range []struct {
		name     string
		how      outcome
		pauses   []time.Duration
		timeouts []time.Duration
	}{
		{"unanswered", unanswered, []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []time.Duration{
			100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30_000 * ms,
		}},
		{
			"unreachable", unreachable,
			[]time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10_000 * ms, 10_000 * ms},
			[]time.Duration{100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms},
		},
		{"failed", failed, []time.Duration{10_000 * ms, 10_000 * ms}, []time.Duration{100 * ms, 100 * ms}},
		{"refused", refused, []time.Duration{30_000 * ms, 30_000 * ms}, []time.Duration{100 * ms, 100 * ms}},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := time.Unix(1_000_000, 0)
			r := newRegistration(defaults, now)
			for i, want := range test.pauses {
				if r.timeout != test.timeouts[i] {
					t.Errorf("attempt %d: timeout %v, want %v", i, r.timeout, test.timeouts[i])
				}
				pause, giveUp := r.retry(now, test.how)
				if pause != want || giveUp {
					t.Errorf("attempt %d: pause %v, give up %t: want %v, false", i, pause, giveUp, want)
				}
				now = now.Add(pause)
			}
		})
	}
}

func TestRegistrationGivesUp(t *testing.T) {
	var c RegistrationConfig
	c.setDefaults()
	now := time.Unix(1_000_000, 0)
	r := newRegistration(c, now)
	if pause, giveUp := r.retry(now.Add(5*time.Minute-time.Second), refused); pause != time.Second || giveUp {
		t.Errorf("a second before the end: pause %v, give up %t", pause, giveUp)
	}
	if _, giveUp := r.retry(now.Add(5*time.Minute), refused); !giveUp {
		t.Error("it goes on after the timeout")
	}
}

func TestOutcome(t *testing.T) {
	for code, want := range map[codes.Code]outcome{
		codes.Unavailable: unreachable, codes.Unauthenticated: refused, codes.PermissionDenied: refused,
		codes.FailedPrecondition: refused, codes.Internal: failed, codes.Unknown: failed, codes.Canceled: failed,
	} {
		if got := outcomeOf(code, false); got != want {
			t.Errorf("%v: got %d, want %d", code, got, want)
		}
		if got := outcomeOf(code, true); got != unanswered {
			t.Errorf("%v after the timeout: got %d, want %d", code, got, unanswered)
		}
	}
}

// The tail is the end of all that was written, however it was cut.
func TestTail(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tail := &tail{limit: 100}
	var all []byte
	for range 500 {
		data := make([]byte, random.IntN(130))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		all = append(all, data...)
		tail.write(data)
		if want := all[max(0, len(all)-100):]; !slices.Equal(tail.content(), want) {
			t.Fatalf("after %d bytes: got %x, want %x", len(all), tail.content(), want)
		}
	}
}

func TestPrinted(t *testing.T) {
	var lines []string
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	long := strings.Join(lines, "\n")
	for _, test := range []struct{ name, stderr, stdout, want string }{
		{"nothing", " \n", "", "printed nothing"},
		{"only standard output", "", "hello\n", "printed: hello"},
		{"both", "oops\n", "hello\n", "printed: oops"},
		{"many lines", long, "", "printed: " + strings.Join(lines[30:], "\n")},
		{"a panic", long + "\npanic: it broke\n\ngoroutine 1 [running]:\n" + long, "", "printed: panic: it broke\n\ngoroutine 1 [running]:\n" + strings.Join(lines[:17], "\n")},
		{"a fatal error first", "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1", "", "printed: fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1"},
		{"no text", "\xff\xfe", "", "printed: \uFFFD"},
		{"one long line", strings.Repeat("x", 5000), "", "printed: " + strings.Repeat("x", 2000)},
	} {
		if got := printed([]byte(test.stderr), []byte(test.stdout)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
