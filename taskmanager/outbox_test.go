package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

func numbered(lane string, i int) *tmv1.ConnectRequest {
	return &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: &tmv1.PlanDone{PlanId: lane, ExitCode: int32(i)}}}
}

// Each lane keeps its order, and what was urgent before something bulky was put
// is sent before it.
func TestOutboxOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			o := newOutbox()
			group := goroutine.New(t.Context())
			var order []string
			urgent, bulk := 0, 0
			group.Go(func(ctx context.Context) error {
				sentUrgent, sentBulk := 0, 0
				return o.drain(ctx, nil, nil, func(m *tmv1.ConnectRequest) error {
					lane, i := m.GetPlanDone().GetPlanId(), int(m.GetPlanDone().GetExitCode())
					order = append(order, fmt.Sprintf("%s %d", lane, i))
					switch lane {
					case "urgent":
						if i != sentUrgent {
							return fmt.Errorf("urgent %d was sent as number %d", i, sentUrgent)
						}
						sentUrgent++
					case "bulk":
						if i != sentBulk {
							return fmt.Errorf("bulk %d was sent as number %d", i, sentBulk)
						}
						sentBulk++
						if before := len(m.GetPlanDone().GetStdout()); sentUrgent < before {
							return fmt.Errorf("bulk %d was sent after %d urgent messages: want %d", i, sentUrgent, before)
						}
					}
					return nil
				})
			})
			for range 50 {
				if random.IntN(2) == 0 {
					put(t.Context(), o.urgent, numbered("urgent", urgent))
					urgent++
				} else {
					m := numbered("bulk", bulk)
					// It carries how many urgent messages were put before it.
					m.GetPlanDone().Stdout = make([]byte, urgent)
					put(t.Context(), o.bulk, m)
					bulk++
				}
				if random.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			if err := group.Close(); err != nil {
				t.Error(err)
			}
			if len(order) != 50 {
				t.Errorf("%d messages were sent", len(order))
			}
		})
	}
}

// puttingContext puts an urgent and then a bulky message at the worst moment:
// when drain has just seen that nothing is urgent, and is about to wait.
type puttingContext struct {
	context.Context
	o    *outbox
	puts int
}

func (c *puttingContext) Done() <-chan struct{} {
	c.o.urgent <- numbered("urgent", c.puts)
	c.o.bulk <- numbered("bulk", c.puts)
	c.puts++
	return nil
}

func TestOutboxOrderAtTheWorstMoment(t *testing.T) {
	const rounds = 100 // In each, select may take either lane.
	o := newOutbox()
	over := errors.New("enough")
	urgent := 0
	err := o.drain(&puttingContext{Context: t.Context(), o: o}, nil, nil, func(m *tmv1.ConnectRequest) error {
		i := int(m.GetPlanDone().GetExitCode())
		if m.GetPlanDone().GetPlanId() == "urgent" {
			urgent++
		} else if urgent <= i {
			t.Errorf("bulk %d was sent after %d urgent messages: want %d", i, urgent, i+1)
		}
		if i == rounds {
			return over
		}
		return nil
	})
	if !errors.Is(err, over) {
		t.Errorf("got %v", err)
	}
}

// A job that prints all the time holds up neither heartbeats nor states.
func TestOutboxUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		group := goroutine.New(t.Context())
		group.Go(func(ctx context.Context) error {
			for i := 0; put(ctx, o.bulk, numbered("bulk", i)); i++ {
				continue
			}
			return nil
		})
		var mu sync.Mutex
		beats, urgent := 0, time.Duration(-1)
		start := time.Now()
		group.Go(func(ctx context.Context) error {
			ticker := time.NewTicker(10 * time.Second)
			defer ticker.Stop()
			return o.drain(ctx, ticker.C, func() *tmv1.ConnectRequest { return numbered("heartbeat", 0) }, func(m *tmv1.ConnectRequest) error {
				<-time.After(time.Second) // A slow connection.
				mu.Lock()
				defer mu.Unlock()
				switch m.GetPlanDone().GetPlanId() {
				case "heartbeat":
					beats++
				case "urgent":
					urgent = time.Since(start)
				}
				return nil
			})
		})
		<-time.After(100 * time.Second)
		put(t.Context(), o.urgent, numbered("urgent", 0))
		<-time.After(20 * time.Second)
		if err := group.Close(); err != nil {
			t.Error(err)
		}
		if urgent < 0 || urgent > 103*time.Second {
			t.Errorf("the urgent message was sent after %v", urgent)
		}
		// A tick and a bulky message are ready together, and either may go first.
		if beats < 8 {
			t.Errorf("%d heartbeats were sent in 120 s", beats)
		}
	})
}

func TestOutboxFails(t *testing.T) {
	o := newOutbox()
	put(t.Context(), o.bulk, numbered("bulk", 0))
	broken := errors.New("broken")
	if err := o.drain(t.Context(), nil, nil, func(*tmv1.ConnectRequest) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range cap(o.urgent) {
		o.urgent <- numbered("urgent", 0)
	}
	if put(ctx, o.urgent, numbered("urgent", 1)) {
		t.Error("a full lane took a message")
	}
}
