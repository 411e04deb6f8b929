package checkpoint_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/checkpoint"
)

var commitTime = time.Unix(5000, 0)

func prepared(c *checkpoint.Commits, id checkpoint.ID, data ...string) {
	e := checkpoint.CommittablesPrepared{Checkpoint: id}
	for _, d := range data {
		e.Data = append(e.Data, []byte(d))
	}
	c.Step(commitTime, e)
}

// TestCommitsInAnyOrder is row a5: for every order of the notifications of four
// checkpoints, and for every set of them that is lost but the last, everything is
// committed once when the last is known, and nothing too early.
func TestCommitsInAnyOrder(t *testing.T) {
	orders := [][]checkpoint.ID{nil}
	for id := checkpoint.ID(1); id <= 4; id++ {
		var longer [][]checkpoint.ID
		for _, o := range orders {
			for at := range len(o) + 1 {
				longer = append(longer, slices.Insert(slices.Clone(o), at, id))
			}
		}
		orders = longer
	}
	equal(t, "orders", len(orders), 24)
	for _, order := range orders {
		for lost := range 8 {
			c := checkpoint.NewCommits()
			for id := checkpoint.ID(1); id <= 4; id++ {
				prepared(c, id, fmt.Sprintf("a%d", id), fmt.Sprintf("b%d", id))
			}
			committed, confirmed, completed := map[string]int{}, checkpoint.ID(0), checkpoint.ID(0)
			for _, id := range order {
				if id < 4 && lost&(1<<(id-1)) != 0 {
					continue
				}
				completed = max(completed, id)
				for range 2 { // Each comes twice.
					actions := c.Step(commitTime, checkpoint.CompletionNotified{Checkpoint: id})
					for len(actions) > 0 {
						switch a := actions[0].(type) {
						case checkpoint.Commit:
							committed[string(a.Data)]++
							if a.Checkpoint > completed {
								t.Fatalf("%s is committed after the completion of %d", a.Data, completed)
							}
							actions = append(actions, c.Step(commitTime, checkpoint.Committed{Number: a.Number})...)
						case checkpoint.CommitsConfirmed:
							confirmed = a.Checkpoint
						}
						actions = actions[1:]
					}
					if confirmed != completed {
						t.Fatalf("order %v, lost %b: %d is confirmed, %d has completed", order, lost, confirmed, completed)
					}
				}
			}
			if len(committed) != 8 || len(c.Outstanding()) != 0 {
				t.Fatalf("order %v, lost %b: committed %v, %d are left", order, lost, committed, len(c.Outstanding()))
			}
			for what, n := range committed {
				if n != 1 {
					t.Fatalf("order %v, lost %b: %s is committed %d times", order, lost, what, n)
				}
			}
		}
	}
}

// TestRestoredCommitsFirst is row d1 and S3.
func TestRestoredCommitsFirst(t *testing.T) {
	c := checkpoint.NewCommits()
	actions := c.Step(commitTime, checkpoint.CommitsRestored{Committables: []checkpoint.Committable{
		{Checkpoint: 3, Data: []byte("old 3")}, {Checkpoint: 2, Data: []byte("old 2")},
	}})
	equal(t, "at once", len(actions), 2)
	equal(t, "recovering", c.Recovering(), true)
	prepared(c, 5, "new")
	equal(t, "outstanding", len(c.Outstanding()), 3)
	equal(t, "new ones wait", len(c.Step(commitTime, checkpoint.CompletionNotified{Checkpoint: 5})), 0)
	equal(t, "one restored is left", len(c.Step(commitTime, checkpoint.Committed{Number: 1})), 0)
	actions = c.Step(commitTime, checkpoint.Committed{Number: 2})
	if commit, ok := actions[0].(checkpoint.Commit); !ok || len(actions) != 1 || string(commit.Data) != "new" {
		t.Fatalf("after the last restored one: %+v", actions)
	}
	equal(t, "recovering", c.Recovering(), false)
	equal(t, "answered twice", len(c.Step(commitTime, checkpoint.Committed{Number: 2})), 0)
	equal(t, "confirmed", fmt.Sprint(c.Step(commitTime, checkpoint.Committed{Number: 3})), "[{5}]")
	equal(t, "and not again by itself", len(c.Step(commitTime, checkpoint.Tick{})), 0)
	// The JobManager asks again if it has not heard.
	equal(t, "confirmed again", fmt.Sprint(c.Step(commitTime, checkpoint.CompletionNotified{Checkpoint: 5})), "[{5}]")
}

// TestAbortedCommitsWait is S4: what was prepared for an aborted checkpoint is
// committed with the next one, and is in its snapshot.
func TestAbortedCommitsWait(t *testing.T) {
	c := checkpoint.NewCommits()
	prepared(c, 1, "x")
	if actions := c.Step(commitTime, checkpoint.CommittablesPrepared{Checkpoint: 2}); len(actions) > 0 {
		t.Errorf("without a completed checkpoint: %+v", actions)
	}
	outstanding := c.Outstanding()
	if len(outstanding) != 1 || outstanding[0].Checkpoint != 1 {
		t.Errorf("the snapshot of 2 has %+v", outstanding)
	}
	equal(t, "commits", len(c.Step(commitTime, checkpoint.CompletionNotified{Checkpoint: 2})), 1)
}

// TestCommitFailures is rows d2 and d7: a failure that may pass is repeated, with
// pauses that grow to a bound; one that does not fails the task and is not
// swallowed.
func TestCommitFailures(t *testing.T) {
	c := checkpoint.NewCommits()
	prepared(c, 1, "x")
	c.Step(commitTime, checkpoint.CompletionNotified{Checkpoint: 1})
	now := commitTime
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		equal(t, "failed", len(c.Step(now, checkpoint.CommitFailed{Number: 1, Reason: "timeout"})), 0)
		at, ok := c.Deadline()
		equal(t, "pause", at.Sub(now), pause*time.Second)
		equal(t, "too early", len(c.Step(at.Add(-1), checkpoint.Tick{})), 0)
		equal(t, "again", len(c.Step(at, checkpoint.Tick{})), 1)
		now = at
		if !ok {
			t.Fatal("nothing is due")
		}
	}
	actions := c.Step(now, checkpoint.CommitFailed{Number: 1, Reason: "fenced", Permanent: true})
	equal(t, "failed for good", fmt.Sprint(actions), "[{what was prepared for checkpoint 1 cannot be committed: fenced}]")
	equal(t, "still outstanding", len(c.Outstanding()), 1)
}

// TestSinksOverRestarts commits to a model of an external system over many
// restarts from random snapshots: each item of the lineage once, nothing else.
func TestSinksOverRestarts(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		external := map[string]int{}
		var lineage []string                  // what the completed checkpoint covers
		var snapshot []checkpoint.Committable // its outstanding commits
		id, effects := checkpoint.ID(0), 0    // effects counts commits that did something
		carryOut := func(c *checkpoint.Commits, actions []checkpoint.CommitAction, die bool) bool {
			for len(actions) > 0 {
				a, ok := actions[0].(checkpoint.Commit)
				actions = actions[1:]
				if !ok {
					continue
				}
				if external[string(a.Data)]++; external[string(a.Data)] == 1 {
					effects++
				}
				if die && rng.IntN(3) == 0 {
					return false
				}
				actions = append(actions, c.Step(commitTime, checkpoint.Committed{Number: a.Number})...)
			}
			return true
		}
		for attempt := range 20 {
			last := attempt == 19
			c := checkpoint.NewCommits()
			alive := carryOut(c, c.Step(commitTime, checkpoint.CommitsRestored{Committables: snapshot}), !last)
			tail := slices.Clone(lineage)
			for step := 0; alive && step < 5; step++ {
				id++
				name := fmt.Sprintf("attempt %d, checkpoint %d", attempt, id)
				prepared(c, id, name)
				tail = append(tail, name)
				captured := c.Outstanding()
				if rng.IntN(2) == 0 && !last {
					continue // It is aborted.
				}
				lineage, snapshot = slices.Clone(tail), captured
				if rng.IntN(3) == 0 && !last {
					continue // The notification is lost.
				}
				alive = carryOut(c, c.Step(commitTime, checkpoint.CompletionNotified{Checkpoint: id}), !last)
			}
		}
		for _, name := range lineage {
			if external[name] == 0 {
				t.Fatalf("seed %d: %s was never committed", seed, name)
			}
		}
		if effects != len(lineage) {
			t.Fatalf("seed %d: %d items are committed, the lineage has %d", seed, effects, len(lineage))
		}
	}
}
