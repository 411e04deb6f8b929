package jobmanager

import (
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/scheduler"
)

// TestRestartStrategies: the job's settings are above those of the cluster, and
// without any it is Flink's default.
func TestRestartStrategies(t *testing.T) {
	exponential := scheduler.RestartStrategy{
		Kind: scheduler.ExponentialDelay, Attempts: scheduler.Unlimited, InitialBackoff: time.Second, MaxBackoff: time.Minute,
		Multiplier: 1.5, JitterFactor: 0.1, ResetThreshold: time.Hour,
	}
	limited := exponential
	limited.Attempts = 8
	for _, test := range []struct {
		cluster, job map[string]string
		checkpoints  bool
		want         scheduler.RestartStrategy
	}{
		{},
		{checkpoints: true, want: exponential},
		{job: map[string]string{"restart-strategy.type": "off"}, checkpoints: true},
		{
			cluster: map[string]string{"restart-strategy.type": "fixeddelay", "restart-strategy.fixed-delay.delay": "10 s"},
			job:     map[string]string{"restart-strategy.fixed-delay.attempts": "3"},
			want:    scheduler.RestartStrategy{Kind: scheduler.FixedDelay, Attempts: 3, Delay: 10 * time.Second},
		},
		{
			cluster: map[string]string{"restart-strategy.type": "fixed-delay", "restart-strategy.failure-rate.max-failures-per-interval": "5"},
			job:     map[string]string{"restart-strategy": "failure-rate"},
			want:    scheduler.RestartStrategy{Kind: scheduler.FailureRate, MaxFailures: 5, Interval: time.Minute, Delay: time.Second},
		},
		{
			job: map[string]string{
				"restart-strategy.type": "exponential-delay", "restart-strategy.exponential-delay.attempts-before-reset-backoff": "8",
			},
			want: limited,
		},
	} {
		base, _, err := config.FromMap("cluster", test.cluster)
		if err != nil {
			t.Fatal(err)
		}
		settings, _, err := withClient(base, test.job)
		if err != nil {
			t.Fatal(err)
		}
		if got := restartStrategy(settings, test.checkpoints); got != test.want {
			t.Errorf("%v over %v, checkpoints %t: %+v, want %+v", test.job, test.cluster, test.checkpoints, got, test.want)
		}
	}
}
