package config_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// TestRestartStrategyInAFile: Flink's older name, nested keys, and a word that
// some readers of YAML take for false.
func TestRestartStrategyInAFile(t *testing.T) {
	for text, want := range map[string]config.RestartStrategyType{
		"restart-strategy: fixed-delay":                                         config.FixedDelay,
		"restart-strategy.type: off":                                            config.NoRestart,
		"restart-strategy: {type: exponentialdelay}":                            config.ExponentialDelay,
		"restart-strategy:\n  type: failure-rate\n  fixed-delay: {attempts: 3}": config.FailureRate,
		"parallelism.default: 2":                                                "",
	} {
		c, _, err := config.Parse("weir.yaml", []byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := config.RestartStrategy.Get(c); got != want || config.RestartStrategy.IsSet(c) != (want != "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	_, _, err := config.Parse("weir.yaml", []byte("restart-strategy.exponential-delay.max-backoff: 500 ms"), nil)
	if err == nil || !strings.Contains(err.Error(), "restart-strategy.exponential-delay.initial-backoff 1 s (default) must not be more than restart-strategy.exponential-delay.max-backoff 500 ms") {
		t.Errorf("a first delay above the longest: %v", err)
	}
}
