package config

import (
	"cmp"
	"fmt"
	"strings"
)

// rule is a check that compares keys with each other.
type rule struct {
	keys []string
	// check returns what is wrong, or nothing.
	check func(c *Config) string
}

var rules = []rule{
	atMost(NetworkMin, NetworkMax),
	atMost(OverheadMin, OverheadMax),
	atMost(RegistrationInitialTimeout, RegistrationMaxTimeout),
	atMost(ExponentialDelayInitialBackoff, ExponentialDelayMaxBackoff),
	lessThan(HeartbeatInterval, HeartbeatTimeout),
	{
		keys: []string{TLSEnabled.Key(), TLSCertificateFile.Key(), TLSKeyFile.Key(), TLSCAFile.Key()},
		check: func(c *Config) string {
			var missing []string
			for _, file := range []Option[string]{TLSCertificateFile, TLSKeyFile, TLSCAFile} {
				if !file.IsSet(c) {
					missing = append(missing, file.Key())
				}
			}
			if !TLSEnabled.Get(c) || len(missing) == 0 {
				return ""
			}
			return fmt.Sprintf("%s is true, but %s is not set", TLSEnabled.Key(), strings.Join(missing, ", "))
		},
	},
}

// atMost demands that one value is not above another, where both are known.
func atMost[T cmp.Ordered](low, high Option[T]) rule {
	return compared(low, high, "must not be more than", func(a, b T) bool { return a <= b })
}

// lessThan demands that one value is below another.
func lessThan[T cmp.Ordered](low, high Option[T]) rule {
	return compared(low, high, "must be less than", func(a, b T) bool { return a < b })
}

func compared[T cmp.Ordered](low, high Option[T], demand string, ok func(a, b T) bool) rule {
	known := func(c *Config, o Option[T]) bool { return o.key.hasDefault || o.IsSet(c) }
	return rule{
		keys: []string{low.Key(), high.Key()},
		check: func(c *Config) string {
			a, b := low.Get(c), high.Get(c)
			if !known(c, low) || !known(c, high) || ok(a, b) {
				return ""
			}
			return fmt.Sprintf("%s %s (%s) %s %s %s (%s)", low.Key(), low.kind.format(a), low.Source(c), demand, high.Key(), high.kind.format(b), high.Source(c))
		},
	}
}
