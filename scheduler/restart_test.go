package scheduler

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var growing = RestartStrategy{
	Kind: ExponentialDelay, Attempts: Unlimited, InitialBackoff: time.Second, MaxBackoff: time.Minute,
	Multiplier: 1.5, JitterFactor: 0.1, ResetThreshold: time.Hour,
}

// TestJitter: delays are within a tenth of Flink's formula and within its limits,
// differ from seed to seed, and are the same for the same seed.
func TestJitter(t *testing.T) {
	different := map[time.Duration]bool{}
	for seed := range uint64(200) {
		a, b := restarts{strategy: growing}, restarts{strategy: growing}
		first, second := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 0))
		now := time.Unix(0, 0)
		base := 1000.0
		for i := range 2000 {
			delay, ok := a.failed(now, first)
			again, _ := b.failed(now, second)
			ms := float64(delay.Milliseconds())
			if !ok || delay != again || ms < math.Max(1000, 0.9*base-1) || ms > math.Min(60_000, 1.1*base+1) || delay%time.Millisecond != 0 {
				t.Fatalf("seed %d: delay %d is %s and %s, %t, want %g ms give or take a tenth", seed, i, delay, again, ok, base)
			}
			if i == 3 {
				different[delay] = true
			}
			base = math.Min(60_000, base*1.5)
			now = now.Add(delay + time.Minute)
		}
	}
	if len(different) < 100 {
		t.Errorf("200 seeds give only %d fourth delays", len(different))
	}
}

// TestResetOfTheBackoff: the hour without a failure counts from the restart.
func TestResetOfTheBackoff(t *testing.T) {
	r := restarts{strategy: growing}
	r.strategy.JitterFactor = 0
	random := rand.New(rand.NewPCG(1, 0))
	now := time.Unix(0, 0)
	for i, step := range []struct{ after, want time.Duration }{
		{0, time.Second},
		{time.Second, 1500 * time.Millisecond},
		{1500*time.Millisecond + time.Hour - 1, 2250 * time.Millisecond},
		{2250*time.Millisecond + time.Hour, time.Second},
	} {
		now = now.Add(step.after)
		if delay, ok := r.failed(now, random); delay != step.want || !ok {
			t.Errorf("delay %d is %s, %t, want %s", i, delay, ok, step.want)
		}
	}
}

// TestFailureRateKeepsLittle: a strategy that allows many failures keeps no more
// times than it needs.
func TestFailureRateKeepsLittle(t *testing.T) {
	r := restarts{strategy: RestartStrategy{Kind: FailureRate, MaxFailures: 3, Interval: time.Minute}}
	now := time.Unix(0, 0)
	for range 1000 {
		if _, ok := r.failed(now, nil); !ok {
			t.Fatal("a failure every 20.5 s is more than 3 in a minute")
		}
		now = now.Add(20*time.Second + 500*time.Millisecond)
	}
	for range 1000 {
		_, _ = r.failed(now, nil)
	}
	if len(r.failures) > 4 {
		t.Errorf("%d times are kept", len(r.failures))
	}
	if _, ok := r.failed(now, nil); ok {
		t.Error("a failure at the same time as many others is within the rate")
	}
}

func TestStrategiesPrint(t *testing.T) {
	for want, s := range map[string]RestartStrategy{
		"none": {},
		"fixed-delay (attempts infinite, delay 1s)":                                         {Kind: FixedDelay, Attempts: Unlimited, Delay: time.Second},
		"failure-rate (at most 1 failure in 1m0s, delay 1s)":                                {Kind: FailureRate, MaxFailures: 1, Interval: time.Minute, Delay: time.Second},
		"exponential-delay (backoff 1s to 1m0s, times 1.5, attempts before reset infinite)": growing,
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
