package config_test

import (
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// sample is a value of a key as a user may write it, and as it is printed.
type sample struct{ text, want string }

// samples has values for every key.
var samples = map[string][]sample{
	"client.timeout":                                  {{"5000", "5 s"}, {"2 min", "2 min"}},
	"cluster.registration.error-delay":                {{"0", "0 ms"}, {"1s", "1 s"}},
	"cluster.registration.initial-timeout":            {{"100", "100 ms"}, {"1 ms", "1 ms"}},
	"cluster.registration.max-timeout":                {{"30000 ms", "30 s"}},
	"cluster.registration.refused-registration-delay": {{"30 SECONDS", "30 s"}},
	"env.log.dir":                                     {{"/var/log/weir", "/var/log/weir"}, {"logs", "logs"}},
	"execution.attached":                              {{"TRUE", "true"}, {"false", "false"}},
	"execution.buffer-timeout.enabled":                {{"False", "false"}},
	"execution.buffer-timeout.interval":               {{"0", "0 ms"}, {"-1", "-1"}, {"100ms", "100 ms"}, {" 5 ", "5 ms"}},
	"execution.checkpointing.dir": {
		{"file:///mnt/checkpoints", "file:///mnt/checkpoints"},
		{"/mnt/checkpoints", "/mnt/checkpoints"},
	},
	"execution.checkpointing.externalized-checkpoint-retention": {
		{"RETAIN_ON_CANCELLATION", "RETAIN_ON_CANCELLATION"},
		{"delete_on_cancellation", "DELETE_ON_CANCELLATION"},
		{"NO_EXTERNALIZED_CHECKPOINTS", "NO_EXTERNALIZED_CHECKPOINTS"},
	},
	"execution.checkpointing.interval":                     {{"10 s", "10 s"}, {"1min", "1 min"}},
	"execution.checkpointing.max-concurrent-checkpoints":   {{"1", "1"}, {"3", "3"}},
	"execution.checkpointing.min-pause":                    {{"0", "0 ms"}, {"500ms", "500 ms"}},
	"execution.checkpointing.mode":                         {{"EXACTLY_ONCE", "EXACTLY_ONCE"}, {"at_least_once", "AT_LEAST_ONCE"}},
	"execution.checkpointing.num-retained":                 {{"1", "1"}, {"10", "10"}},
	"execution.checkpointing.timeout":                      {{"10min", "10 min"}},
	"execution.checkpointing.tolerable-failed-checkpoints": {{"0", "0"}, {"5", "5"}},
	"heartbeat.interval":                                   {{"1000", "1 s"}},
	"heartbeat.timeout":                                    {{"1 h", "1 h"}},
	"io.tmp.dirs":                                          {{"/a,/b", "/a,/b"}, {"/a:/b|/c;/d", "/a,/b,/c,/d"}, {"'/a,b',/c", "'/a,b',/c"}},
	"jobmanager.bind-host":                                 {{"0.0.0.0", "0.0.0.0"}, {"::1", "::1"}, {"fe80::1%eth0", "fe80::1%eth0"}},
	"jobmanager.rpc.address":                               {{"jobs-1.example", "jobs-1.example"}},
	"jobmanager.rpc.bind-port":                             {{"0", "0"}, {"65535", "65535"}},
	"jobmanager.rpc.port":                                  {{"6123", "6123"}},
	"jobstore.expiration-time":                             {{"3600 s", "1 h"}, {"0s", "0 ms"}},
	"jobstore.max-capacity":                                {{"1", "1"}, {"2147483647", "2147483647"}},
	"parallelism.default":                                  {{"8", "8"}, {"65536", "65536"}},
	"pipeline.auto-watermark-interval":                     {{"1", "1 ms"}},
	"pipeline.name":                                        {{"late departures", "late departures"}, {"Übersicht: täglich", "Übersicht: täglich"}},
	"pipeline.operator-chaining.enabled":                   {{"false", "false"}},
	"pipeline.pre-aggregation.enabled":                     {{"false", "false"}},
	"process.jobmanager.working-dir":                       {{"/var/lib/weir/jm", "/var/lib/weir/jm"}},
	"process.taskmanager.working-dir":                      {{"/var/lib/weir/tm", "/var/lib/weir/tm"}},
	"process.working-dir":                                  {{"/var/lib/weir", "/var/lib/weir"}},
	"restart-strategy.type": {
		{"none", "none"},
		{"off", "none"},
		{"Disable", "none"},
		{"fixed-delay", "fixed-delay"},
		{"FixedDelay", "fixed-delay"},
		{"failure-rate", "failure-rate"},
		{"failurerate", "failure-rate"},
		{"exponential-delay", "exponential-delay"},
		{"ExponentialDelay", "exponential-delay"},
	},
	"restart-strategy.fixed-delay.attempts":                            {{"2147483647", "2147483647"}, {"0", "0"}},
	"restart-strategy.fixed-delay.delay":                               {{"0", "0 ms"}, {"10 s", "10 s"}},
	"restart-strategy.failure-rate.max-failures-per-interval":          {{"3", "3"}},
	"restart-strategy.failure-rate.failure-rate-interval":              {{"5 min", "5 min"}},
	"restart-strategy.failure-rate.delay":                              {{"10s", "10 s"}},
	"restart-strategy.exponential-delay.initial-backoff":               {{"500", "500 ms"}},
	"restart-strategy.exponential-delay.max-backoff":                   {{"2min", "2 min"}},
	"restart-strategy.exponential-delay.backoff-multiplier":            {{"2", "2"}, {"1.0", "1"}, {"1.25", "1.25"}},
	"restart-strategy.exponential-delay.reset-backoff-threshold":       {{"10 min", "10 min"}},
	"restart-strategy.exponential-delay.jitter-factor":                 {{"0", "0"}, {"1", "1"}, {".2", "0.2"}},
	"restart-strategy.exponential-delay.attempts-before-reset-backoff": {{"8", "8"}},
	"security.credential.file":                                         {{"/etc/weir/credential", "/etc/weir/credential"}},
	"security.ssl.ca-file":                                             {{"/etc/weir/ca.crt", "/etc/weir/ca.crt"}},
	"security.ssl.certificate-file":                                    {{"tls.crt", "tls.crt"}},
	"security.ssl.key-file":                                            {{"tls.key", "tls.key"}},
	"security.ssl.internal.enabled":                                    {{"false", "false"}},
	"slot.request.timeout":                                             {{"300000", "5 min"}},
	"task.cancellation.timeout":                                        {{"180000", "3 min"}, {"0", "0 ms"}},
	"taskmanager.bind-host":                                            {{"localhost", "localhost"}},
	"taskmanager.data.port":                                            {{"0", "0"}, {"50100-50200, 50300", "50100-50200,50300"}, {"7-7", "7"}},
	"taskmanager.host":                                                 {{"10.0.0.7", "10.0.0.7"}},
	"taskmanager.job-logs.expiration-time":                             {{"30 d", "30 d"}, {"1s", "1 s"}},
	"taskmanager.job-logs.max-capacity":                                {{"1", "1"}, {"1000", "1000"}},
	"taskmanager.load-balance.mode":                                    {{"slots", "SLOTS"}, {"Min_Resources", "MIN_RESOURCES"}, {"NONE", "NONE"}},
	"taskmanager.memory.flink.size":                                    {{"1280m", "1280 mb"}},
	"taskmanager.memory.managed.fraction":                              {{"0", "0"}, {"0.40", "0.4"}, {".25", "0.25"}, {"1e-3", "0.001"}},
	"taskmanager.memory.managed.size":                                  {{"0mb", "0 bytes"}, {"512 MB", "512 mb"}},
	"taskmanager.memory.network.fraction":                              {{"0.999", "0.999"}},
	"taskmanager.memory.network.max":                                   {{"1073741824", "1 gb"}},
	"taskmanager.memory.network.min":                                   {{"64mb", "64 mb"}},
	"taskmanager.memory.overhead.fraction":                             {{"0.05", "0.05"}},
	"taskmanager.memory.overhead.max":                                  {{"2g", "2 gb"}},
	"taskmanager.memory.overhead.min":                                  {{"96 mebibytes", "96 mb"}},
	"taskmanager.memory.process.size":                                  {{"1728m", "1728 mb"}, {"4 Gibibytes", "4 gb"}},
	"taskmanager.memory.segment-size":                                  {{"32768", "32 kb"}, {"4k", "4 kb"}, {"16m", "16 mb"}},
	"taskmanager.memory.task.heap.size":                                {{"384mb", "384 mb"}},
	"taskmanager.network.memory.buffers-per-channel":                   {{"1", "1"}, {"1024", "1024"}},
	"taskmanager.network.memory.floating-buffers-per-gate":             {{"1", "1"}, {"65536", "65536"}},
	"taskmanager.numberOfTaskSlots":                                    {{"4", "4"}},
	"taskmanager.registration.timeout":                                 {{"5 minutes", "5 min"}},
	"taskmanager.resource-id":                                          {{"tm-1", "tm-1"}},
}

// TestSamples: each sample of each key is read and printed as expected, and
// what is printed is read again.
func TestSamples(t *testing.T) {
	for _, k := range config.Keys() {
		if len(samples[k.Name]) == 0 {
			t.Errorf("key %s has no sample", k.Name)
		}
	}
	for name, all := range samples {
		for _, s := range all {
			for _, text := range []string{s.text, s.want} {
				c, warnings, err := config.FromMap("test", map[string]string{name: text})
				if err != nil || len(warnings) > 0 {
					t.Errorf("%s: %q: %v, warnings %v", name, text, err, warnings)
					continue
				}
				if got := c.Map(); len(got) != 1 || got[name] != s.want {
					t.Errorf("%s: %q is read as %q, want %q", name, text, got, s.want)
				}
			}
		}
	}
}

// badValues are values that keys refuse, with the end of the message.
var badValues = []struct{ key, text, want string }{
	{"client.timeout", "0", "want a duration such as 10 s, at least 1 ms"},
	{"client.timeout", "soon", `want a duration such as 10 s, at least 1 ms ("soon" does not start with a whole number)`},
	{"execution.attached", "yes", "want true or false"},
	{"execution.buffer-timeout.interval", "-2", `want a duration such as 100 ms, or -1 to send full buffers only ("-2" does not start with a whole number)`},
	{"io.tmp.dirs", " , ", "want paths separated by commas, or a YAML list of paths"},
	{"io.tmp.dirs", "'/a", "(a quote is not closed)"},
	{"io.tmp.dirs", "/a,''", `("" is not a path)`},
	{"jobmanager.bind-host", "localhost:6123", "want a host name or an IP address, without a port"},
	{"jobmanager.rpc.address", "http://jobs", "want a host name or an IP address, without a port"},
	{"jobmanager.rpc.port", "65536", "want a whole number from 0 to 65535"},
	{"jobmanager.rpc.port", "-1", "want a whole number from 0 to 65535"},
	{"jobmanager.rpc.port", "0x10", "want a whole number from 0 to 65535"},
	{"jobstore.expiration-time", "3600", "want a duration such as 10 s, with its unit (without a unit it would be seconds in some versions of Flink and milliseconds in others)"},
	{"parallelism.default", "0", "want a whole number from 1 to 65536"},
	{"parallelism.default", "-4", "want a whole number from 1 to 65536"},
	{"parallelism.default", "", "want a whole number from 1 to 65536 (it is empty)"},
	{"pipeline.name", "two\nlines", "want a name of up to 255 bytes in one line"},
	{"restart-strategy.type", "on", "want one of none, fixed-delay, failure-rate, exponential-delay"},
	{"restart-strategy.fixed-delay.attempts", "-1", "want a whole number, at least 0"},
	{"restart-strategy.exponential-delay.backoff-multiplier", "0.9", "want a number from 1 to 1000000"},
	{"restart-strategy.exponential-delay.jitter-factor", "NaN", "want a number from 0 to 1"},
	{"restart-strategy.exponential-delay.jitter-factor", "1.01", "want a number from 0 to 1"},
	{"security.credential.file", "a\x00b", "want a path"},
	{"taskmanager.job-logs.expiration-time", "0", "want a duration such as 10 s, at least 1 s"},
	{"taskmanager.job-logs.max-capacity", "0", "want a whole number from 1 to 2147483647"},
	{"taskmanager.data.port", "50200-50100", `("50200-50100" is not a range of ports)`},
	{"taskmanager.data.port", "0-100", `("0-100" is not a range of ports)`},
	{"taskmanager.data.port", "0,50100", "(port 0 means any port and cannot be combined with others)"},
	{"taskmanager.data.port", "50100,0", "(port 0 means any port and cannot be combined with others)"},
	{"taskmanager.data.port", "50100-", `("" is not a port)`},
	{"taskmanager.data.port", "70000", `("70000" is not a port)`},
	{"taskmanager.load-balance.mode", "TASKS", "want one of NONE, SLOTS, MIN_RESOURCES"},
	{"taskmanager.memory.managed.fraction", "1", "want a number that is at least 0 and less than 1"},
	{"taskmanager.memory.managed.fraction", "-0.1", "want a number that is at least 0 and less than 1"},
	{"taskmanager.memory.managed.fraction", "NaN", "want a number that is at least 0 and less than 1"},
	{"taskmanager.memory.managed.fraction", "40%", "want a number that is at least 0 and less than 1"},
	{"taskmanager.memory.process.size", "1.5g", "want a memory size such as 64 mb, at least 1 bytes (a memory size is a whole number: write 1536m for 1.5g)"},
	{"taskmanager.memory.process.size", "0", "want a memory size such as 64 mb, at least 1 bytes"},
	{"taskmanager.memory.segment-size", "33 kb", "want a power of two from 4 kb to 16 mb"},
	{"taskmanager.memory.segment-size", "2 kb", "want a power of two from 4 kb to 16 mb"},
	{"taskmanager.memory.segment-size", "32 mb", "want a power of two from 4 kb to 16 mb"},
	{"taskmanager.network.memory.buffers-per-channel", "0", "want a whole number from 1 to 1024"},
	{"taskmanager.numberOfTaskSlots", "1000000000000000000000", "want a whole number from 1 to 1024"},
	{"cluster.evenly-spread-out-slots", "maybe", "want true or false"},
}

// TestBadValues: the message names the key, the value, and what is allowed.
func TestBadValues(t *testing.T) {
	for _, b := range badValues {
		c, _, err := config.FromMap("test", map[string]string{b.key: b.text})
		problem := onlyProblem(t, err)
		want := `key "` + b.key + `" has the bad value ` + quote(b.text) + ": "
		if !hasPrefixAndSuffix(problem.Err.Error(), want, b.want) || c != nil {
			t.Errorf("%s = %q: %v\nwant %s … %s", b.key, b.text, err, want, b.want)
		}
		if problem.Key != b.key || problem.Source != (config.Source{Name: "test"}) {
			t.Errorf("%s = %q: the problem is about %q of %v", b.key, b.text, problem.Key, problem.Source)
		}
	}
}
