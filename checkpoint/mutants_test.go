package checkpoint

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// mutant is a machine with one rule broken.
type mutant struct {
	name string
	// loses says what a job would lose, and row or mutant which row of the
	// catalogue of failures of other systems it repeats.
	loses string
	// by is how the message of what finds it begins, any of these.
	by []string
	// within is how many lives, from seed 1 on, may pass until it is found.
	within int
	broken func(*rules)
}

// mutants are the rules broken on purpose, each of them at least once.
var mutants = []mutant{
	{
		name: "one acknowledgement may be missing", loses: "the state of a task (row a4)",
		by: []string{"C2", "S5"}, within: 50,
		broken: func(r *rules) {
			r.acknowledgedByAll = func(acknowledged, tasks int) bool { return acknowledged >= max(1, tasks-1) }
		},
	},
	{
		name: "pending checkpoints outlive their attempt", loses: "the certainty that only tasks which run are counted (row b8)",
		by: []string{"S6"}, within: 50,
		broken: func(r *rules) { r.diesWithAttempt = func(phase) bool { return false } },
	},
	{
		name: "recorded before the metadata is written", loses: "the checkpoint, when storage fails then",
		by: []string{"S4"}, within: 50,
		broken: func(r *rules) { r.recordable = func(p phase) bool { return p == writing || p == written } },
	},
	{
		name: "sinks commit before the store has the checkpoint", loses: "exactly-once: what follows a crash is doubled",
		by: []string{"S7", "S2"}, within: 50,
		broken: func(r *rules) { r.committable = func(p phase) bool { return p == writing } },
	},
	{
		name: "an ambiguous record counts as failed", loses: "the files of a checkpoint that the store has (row c4)",
		by: []string{"S9", "S4"}, within: 100,
		broken: func(r *rules) { r.refuted = func(recordAnswer, bool) bool { return true } },
	},
	{
		name: "a refusal after an ambiguous answer counts as failed", loses: "the files of a checkpoint that the store has (row c4)",
		by: []string{"S9", "S4"}, within: 2500,
		broken: func(r *rules) { r.refuted = func(answer recordAnswer, _ bool) bool { return answer == recordFailed } },
	},
	{
		name: "older checkpoints complete after newer ones", loses: "the order of checkpoints, so that a restart goes back (row a5)",
		by: []string{"S6"}, within: 200,
		broken: func(r *rules) { r.subsumes = func(ID, ID) bool { return false } },
	},
	{
		name: "the checkpoint under way when the input ends is the final one", loses: "the end of the output (row d8)",
		by: []string{"C8", "S1"}, within: 600,
		broken: func(r *rules) { r.final = func(_, endedNow bool) bool { return endedNow } },
	},
	{
		name: "deadlines never come", loses: "every checkpoint after a lost message (rows a6, c7)",
		by: []string{"L2"}, within: 50,
		broken: func(r *rules) {
			due := r.due
			r.due = func(deadline, now time.Time) bool { return due(deadline, now) && now.Sub(deadline) > time.Hour }
		},
	},
	{
		name: "notifications are not repeated", loses: "commits, until the next checkpoint or for ever (row a5)",
		by: []string{"L2"}, within: 400,
		broken: func(r *rules) { r.repeats = func(int) bool { return false } },
	},
	protecting("retained checkpoints", "files that a retained checkpoint shares with one that goes (row c1)", byRetained, 50, "S9", "S4"),
	protecting("checkpoints under way", "files of a checkpoint that completes a moment later (row c2)", byUnderWay, 200, "S9", "S4"),
	protecting("the base of a checkpoint under way", "files that it names again (row c1)", byBase, 500, "R1"),
	protecting("unclaimed checkpoints", "a checkpoint of another job (row c3)", byUnclaimed, 100, "S9"),
	protecting("unreadable checkpoints", "files of a checkpoint whose metadata could not be read (rows c6, c13)", byUnreadable, 100, "S9", "S4"),
	{
		name: "files are deleted before the pointer is gone", loses: "a checkpoint that the store still has (row c11)",
		by: []string{"S9"}, within: 50,
		broken: func(r *rules) { r.forgotten = func(bool) bool { return true } },
	},
	{
		name: "only the completed checkpoint is committed", loses: "what was prepared for one that was aborted or not heard of (row a5)",
		by: []string{"C8", "S1", "L2"}, within: 50,
		broken: func(r *rules) { r.commits = func(completed, prepared ID) bool { return completed == prepared } },
	},
	{
		name: "everything prepared is committed", loses: "exactly-once: what belongs to a later checkpoint is doubled",
		by: []string{"S7", "S2"}, within: 50,
		broken: func(r *rules) { r.commits = func(completed, _ ID) bool { return completed > 0 } },
	},
	{
		name: "commits are not repeated after a restore", loses: "the output of the restored checkpoint (row d1)",
		by: []string{"S1", "S5"}, within: 100,
		broken: func(r *rules) { r.recommits = func(int) bool { return false } },
	},
}

// protecting is the mutant of retention that forgets one reason to keep a file.
func protecting(what, loses string, why reason, within int, by ...string) mutant {
	return mutant{
		name: "retention does not protect " + what, loses: loses, by: by, within: within,
		broken: func(r *rules) { r.protects = func(other reason) bool { return other != why } },
	}
}

// TestMutants requires that the simulator finds every broken rule within its
// number of lives, and by the invariant that it should.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			broken := lawful
			m.broken(&broken)
			for seed := range uint64(m.within) {
				err := newWorld(seed+1, &broken).live()
				if err == nil {
					continue
				}
				for _, by := range m.by {
					if strings.HasPrefix(err.Error(), by) {
						t.Logf("found by seed %d; it would lose %s: %v", seed+1, m.loses, err)
						return
					}
				}
				t.Fatalf("seed %d finds it by %v, not by %v", seed+1, err, m.by)
			}
			t.Errorf("not found in %d lives, though it loses %s", m.within, m.loses)
		})
	}
}

// TestEveryRuleIsBroken requires a mutant for each rule.
func TestEveryRuleIsBroken(t *testing.T) {
	broken := map[string]bool{}
	for _, m := range mutants {
		r := lawful
		m.broken(&r)
		a, b := reflect.ValueOf(r), reflect.ValueOf(lawful)
		for i := range a.NumField() {
			if a.Field(i).Pointer() != b.Field(i).Pointer() {
				broken[a.Type().Field(i).Name] = true
			}
		}
	}
	for i := range reflect.TypeFor[rules]().NumField() {
		if name := reflect.TypeFor[rules]().Field(i).Name; !broken[name] {
			t.Errorf("no mutant breaks the rule %s", name)
		}
	}
}
