package taskmanager

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/ids"
)

// attempt names one execution of a job. At most one worker of it runs here.
type attempt struct {
	job    ids.JobID
	number ids.Attempt
}

// String prints the attempt as "job 0123… attempt 2".
func (a attempt) String() string { return fmt.Sprintf("job %s attempt %d", a.job, a.number) }

// fence is what every message of a session carries.
type fence struct {
	session ids.SessionID
	epoch   uint64
}

// admit returns why a message with these marks belongs to another session, or
// nil.
func (f fence) admit(session []byte, epoch uint64) error {
	if epoch != f.epoch {
		return fmt.Errorf("it is of leader epoch %d, the session's is %d", epoch, f.epoch)
	}
	if !bytes.Equal(session, f.session[:]) {
		return fmt.Errorf("it is of session %x, this one is %s", session, f.session)
	}
	return nil
}

// errStale marks a message of an attempt that is not the newest, or that is
// repeated. Such messages are dropped.
var errStale = errors.New("stale attempt")

// ledger says which slots each worker holds. It is a plain value without I/O;
// its user serialises the calls.
type ledger struct {
	// free has the indices of the free slots, ascending.
	free []int
	held map[attempt][]int
	of   int
}

func newLedger(slots int) *ledger {
	l := &ledger{held: map[attempt][]int{}, of: slots}
	for i := range slots {
		l.free = append(l.free, i)
	}
	return l
}

// take gives the lowest n free slots to a. A worker of the same job that is as
// new, or newer, makes a stale.
func (l *ledger) take(a attempt, n int) ([]int, error) {
	for other := range l.held {
		if other.job == a.job && other.number >= a.number {
			return nil, fmt.Errorf("%w: attempt %d of job %s is here already", errStale, other.number, a.job)
		}
	}
	if n < 1 {
		return nil, fmt.Errorf("a worker must hold at least one slot, not %d", n)
	}
	if n > len(l.free) {
		return nil, fmt.Errorf("the worker needs %d slots, but only %d of the TaskManager's %d are free", n, len(l.free), l.of)
	}
	taken := slices.Clone(l.free[:n])
	l.free = slices.Delete(l.free, 0, n)
	l.held[a] = taken
	return taken, nil
}

// release takes back what a holds. Nothing of a may use the slots any more.
func (l *ledger) release(a attempt) {
	l.free = append(l.free, l.held[a]...)
	slices.Sort(l.free)
	delete(l.held, a)
}
