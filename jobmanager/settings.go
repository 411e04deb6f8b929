package jobmanager

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/scheduler"
)

// withClient returns the configuration of a job before it is planned: what the
// client sends is above the daemon's own. The warnings are for the user.
func withClient(base *config.Config, sent map[string]string) (c *config.Config, warnings []string, err error) {
	c, found, err := base.With("the submission", sent)
	for _, w := range found {
		warnings = append(warnings, w.String())
	}
	if err != nil {
		return nil, warnings, err
	}
	for _, k := range config.Keys() {
		if _, ok := sent[k.Name]; ok && k.Scope&(config.Job|config.Client) == 0 {
			warnings = append(warnings, fmt.Sprintf("%s has no effect for one job: it is read by the %s only", k.Name, k.Scope))
		}
	}
	return c, warnings, nil
}

// withCode puts the settings of a job's code above the others.
func withCode(c *config.Config, settings map[string]string) (*config.Config, []string, error) {
	c, found, err := c.With("the job's code", settings)
	var warnings []string
	for _, w := range found {
		warnings = append(warnings, w.String())
	}
	return c, warnings, err
}

// forWorkers returns what travels with a job: its own settings, and those of
// the network buffers, which have to be the same in all of its workers.
func forWorkers(base, job *config.Config) map[string]string {
	settings, _ := job.JobSettings()
	network := config.NetworkSettings(base)
	settings[config.BuffersPerChannel.Key()] = fmt.Sprint(network.BuffersPerChannel)
	settings[config.FloatingBuffersPerGate.Key()] = fmt.Sprint(network.FloatingPerGate)
	settings[config.SegmentSize.Key()] = network.SegmentSize.String()
	return settings
}

// withSegmentSize returns a worker's settings with the size of the buffers that
// its slots have.
func withSegmentSize(settings map[string]string, size memory.Size) map[string]string {
	settings = maps.Clone(settings)
	settings[config.SegmentSize.Key()] = size.String()
	return settings
}

// restartStrategy returns how a job is restarted: as its own settings say, those
// of the cluster below them. If neither says anything that is Flink's default.
func restartStrategy(c *config.Config, checkpoints bool) scheduler.RestartStrategy {
	kind := config.RestartStrategy.Get(c)
	if !config.RestartStrategy.IsSet(c) && checkpoints {
		kind = config.ExponentialDelay
	}
	switch kind {
	case config.FixedDelay:
		return scheduler.RestartStrategy{
			Kind: scheduler.FixedDelay, Attempts: config.FixedDelayAttempts.Get(c), Delay: config.FixedDelayDelay.Get(c),
		}
	case config.FailureRate:
		return scheduler.RestartStrategy{
			Kind: scheduler.FailureRate, MaxFailures: config.FailureRateMaxFailures.Get(c),
			Interval: config.FailureRateInterval.Get(c), Delay: config.FailureRateDelay.Get(c),
		}
	case config.ExponentialDelay:
		s := scheduler.RestartStrategy{
			Kind: scheduler.ExponentialDelay, Attempts: scheduler.Unlimited,
			InitialBackoff: config.ExponentialDelayInitialBackoff.Get(c), MaxBackoff: config.ExponentialDelayMaxBackoff.Get(c),
			Multiplier: config.ExponentialDelayMultiplier.Get(c), JitterFactor: config.ExponentialDelayJitterFactor.Get(c),
			ResetThreshold: config.ExponentialDelayResetThreshold.Get(c),
		}
		if config.ExponentialDelayAttempts.IsSet(c) {
			s.Attempts = config.ExponentialDelayAttempts.Get(c)
		}
		return s
	case config.NoRestart:
	}
	return scheduler.RestartStrategy{}
}

// textLimit bounds foreign text that is kept, in bytes.
const textLimit = 64 << 10

// text makes foreign bytes a text that every reader takes.
func text(s string) string {
	if len(s) > textLimit {
		s = s[len(s)-textLimit:]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sortedBy returns the values of a map, sorted by what key returns.
func sortedBy[K comparable, V any, S cmp.Ordered](m map[K]V, key func(V) S) []V {
	return slices.SortedFunc(maps.Values(m), func(a, b V) int { return cmp.Compare(key(a), key(b)) })
}
